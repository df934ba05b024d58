"""The calls under `/api/v1`. Each translates: one domain call, one shape back."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, re_path
from ninja import NinjaAPI, Query
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from pydantic import BaseModel

from console import access, deeds
from console.api import (
    batches,
    breakglass,
    comments,
    keys,
    pace,
    policies,
    refusals,
    reviewers,
    safeguards,
    schedules,
    steering,
)
from console.api.auth import ApiRequest, door
from console.api.documents import complete
from console.api.gates import (
    Decide,
    DecisionMade,
    GateFilter,
    GateList,
    GateShown,
    GateSummary,
)
from console.api.idempotency import answer, once
from console.api.problems import FieldError, Problem, plain, respond
from console.api.shapes import (
    EventFilter,
    EventList,
    EventShown,
    RunFilter,
    RunList,
    RunShown,
    RunSummary,
    Settle,
    SettlementShown,
    StartRun,
    StepFilter,
    known_parameters,
    shown,
)
from console.api.strict import StrictParser


class Api(NinjaAPI):
    """The calls, with a description that also tells what every call has in common."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        return complete(
            super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        )

    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        """The calls, and a problem for every other path: Django would draw a page for it."""
        patterns, app, namespace = super().urls
        return [*patterns[:-1], re_path("", _no_such_path), patterns[-1]], app, namespace

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__


def _no_such_path(_request: HttpRequest) -> HttpResponse:
    return respond(plain(404))


# The page of documentation that ninja offers loads its script from elsewhere; it stays off.
api = Api(
    title="Placet",
    version="1",
    urls_namespace="api",
    docs_url=None,
    parser=StrictParser(),
)
refusals.connect(api)
api.add_router("", steering.router)
api.add_router("", comments.router)
api.add_router("", batches.router)
api.add_router("", pace.router)
api.add_router("", policies.router)
api.add_router("", schedules.router)
api.add_router("", safeguards.router)
api.add_router("", breakglass.router)
api.add_router("", keys.router)
api.add_router("", reviewers.router)


@api.post("/runs", auth=door("runs.start"), response={201: RunShown, 200: RunShown})
def start_run(request: ApiRequest, body: StartRun) -> HttpResponse:
    """Start a run of a workflow; 200 instead of 201 when its key had started it before."""

    def deed(key: str | None) -> tuple[int, BaseModel]:
        run, was_created = deeds.start(
            request.auth.person,
            workflow=body.workflow,
            input=dict(body.input),
            idempotency_key=key,
            request=request,
        )
        return 201 if was_created else 200, shown(run)

    return once(request, deed)


@api.get("/runs", auth=door("runs.view"), response=RunList)
def list_runs(request: ApiRequest, query: Query[RunFilter]) -> HttpResponse:
    """Runs, newest first."""
    known_parameters(request, RunFilter)
    page = access.find_runs(
        request.auth.person,
        status=query.status or "",
        workflow=query.workflow or "",
        parent=query.parent,
        schedule=query.schedule,
        since=query.since,
        cursor=query.cursor,
        limit=query.limit,
    )
    items = [RunSummary.of(run) for run in page.items]
    return answer(RunList(items=items, next_cursor=page.next_cursor))


@api.get("/runs/{run_id}", auth=door("runs.view"), response=RunShown)
def get_run(request: ApiRequest, run_id: uuid.UUID, query: Query[StepFilter]) -> HttpResponse:
    """One run with its steps, a page of them at a time."""
    known_parameters(request, StepFilter)
    run = access.access_run_by_id(request.auth.person, run_id)
    return answer(shown(run, after=query.steps_after))


@api.get("/runs/{run_id}/events", auth=door("runs.view"), response=EventList)
def list_events(request: ApiRequest, run_id: uuid.UUID, query: Query[EventFilter]) -> HttpResponse:
    """The journal of a run, in order, after a sequence number."""
    known_parameters(request, EventFilter)
    run = access.access_run_by_id(request.auth.person, run_id)
    events = access.find_events(run, after=query.after, limit=query.limit)
    last = events[-1].seq if events else query.after
    return answer(EventList(items=[EventShown.of(event) for event in events], next_after=last))


@api.post(
    "/runs/{run_id}/steps/{position}/settlements",
    auth=door("steps.settle"),
    response={201: SettlementShown},
)
def settle_step(
    request: ApiRequest, run_id: uuid.UUID, position: int, body: Settle
) -> HttpResponse:
    """Say what became of a step in doubt, or how a paused one goes on; it is settled once
    enough people say the same."""
    field, said = body.fault
    if said:
        fault = FieldError(pointer=field, detail=said)
        raise Problem(422, "invalid-request", said, errors=[fault])

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        said = deeds.settle(
            request.auth.person,
            run_id,
            position,
            answer=body.answer,
            reason=body.reason,
            result=body.arguments if body.answer == "retry_with" else body.result,
            attempt=body.attempt,
            request=request,
        )
        return 201, SettlementShown.of(said)

    return once(request, deed)


@api.get("/gates", auth=door("gates.view"), response=GateList)
def list_gates(request: ApiRequest, query: Query[GateFilter]) -> HttpResponse:
    """Gates: with `state=open` what expires first comes first, else the newest.

    With `view=mine` only those that you may decide now, by what expires first.
    """
    known_parameters(request, GateFilter)
    page = access.find_gates(
        request.auth.person,
        state=query.state or "",
        is_mine=query.view == "mine",
        cursor=query.cursor,
        limit=query.limit,
    )
    items = [GateSummary.of(gate) for gate in page.items]
    return answer(GateList(items=items, next_cursor=page.next_cursor))


# Before the path that would take its last part for the id of a gate.
api.post("/gates/decisions", auth=door("gates.decide"), response={201: batches.BatchShown})(
    batches.decide_many
)


@api.get("/gates/{gate_id}", auth=door("gates.view"), response=GateShown)
def get_gate(request: ApiRequest, gate_id: uuid.UUID) -> HttpResponse:
    """One gate with the facts to decide about, and whether you may."""
    person = request.auth.person
    return answer(GateShown.to_person(access.access_gate_by_id(person, gate_id), person))


@api.post("/gates/{gate_id}/decisions", auth=door("gates.decide"), response={201: DecisionMade})
def decide(request: ApiRequest, gate_id: uuid.UUID, body: Decide) -> HttpResponse:
    """Approve or deny, over exactly the digest that you were shown."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        decision = deeds.decide_at_gate(
            request.auth.person,
            gate_id,
            verdict=body.verdict,
            reason=body.reason,
            digest=body.digest,
            typed=body.typed,
            signed=body.signed.signed() if body.signed else None,
            request=request,
        )
        return 201, DecisionMade.to_person(decision, request.auth.person)

    return once(request, deed)
