"""The calls that steer runs, talk to them, and fork them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import AwareDatetime, BaseModel, Field, JsonValue, StringConstraints

from console import access, deeds
from console.api.auth import ApiRequest, door
from console.api.idempotency import answer, once, once_by_itself
from console.api.problems import FieldError, Problem
from console.api.shapes import (
    MAX_POSITION,
    Body,
    Name,
    RunShown,
    RunStatus,
    SignalShown,
    known_parameters,
    shown,
)
from runs import bulk, completions, limits, questions
from runs.errors import InvalidInput
from runs.models import Step

router = Router()

Reason = Annotated[str, StringConstraints(max_length=limits.MAX_REASON_CHARACTERS)]
Position = Annotated[int, Field(ge=0, le=MAX_POSITION)]
Verb = Literal["cancel", "pause", "resume", "terminate"]


class Because(Body):
    reason: Reason = Field(default="", description="Needed to pause and to terminate")


class Fork(Body):
    at: Position = Field(description="The first step that the fork does itself")
    input: dict[str, JsonValue] | None = Field(
        default=None, description="Another input; null for that of the run"
    )


class SendSignal(Body):
    payload: JsonValue = None


class AnswerQuestion(Body):
    values: JsonValue = Field(description="What fits the form of the question")


class QuestionShown(BaseModel):
    run_id: uuid.UUID
    position: int
    workflow: str
    question: str
    form: JsonValue = Field(description="JSON Schema of the answer")
    asked_at: datetime
    until: datetime | None

    @classmethod
    def of(cls, step: Step) -> QuestionShown:
        question, form = questions.form_of(step)
        return cls(
            run_id=step.run_id,
            position=step.position,
            workflow=step.run.workflow,
            question=question,
            form=form,
            asked_at=step.created_at,
            until=step.not_before,
        )


class QuestionList(BaseModel):
    items: list[QuestionShown] = Field(description="At most MAX_PAGE_SIZE, the oldest first")


class BulkFilter(BaseModel):
    """Which runs that have not ended: all that it says must be so."""

    model_config = {"extra": "forbid"}

    workflow: Name | None = None
    status: RunStatus | None = None
    requested_by: Annotated[str, StringConstraints(max_length=150)] | None = None
    created_from: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    waiting_for: Annotated[str, StringConstraints(max_length=255)] | None = None

    @property
    def filter(self) -> bulk.Filter:
        said = {name: value for name, value in self.model_dump().items() if value is not None}
        return bulk.Filter(**said)


class BulkFound(BaseModel):
    count: int
    fingerprint: str = Field(description="Names exactly these runs; to be given to the action")


class BulkAction(Body):
    model_config = {"extra": "forbid", "strict": False}

    filter: BulkFilter
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    action: Verb
    reason: Reason = ""


class Unsteered(BaseModel):
    run_id: uuid.UUID
    detail: str


class BulkDone(BaseModel):
    done: list[uuid.UUID]
    unchanged: list[uuid.UUID] = Field(description="Asked for before")
    refused: list[Unsteered]


class Complete(Body):
    result: JsonValue = None
    error: Annotated[str, StringConstraints(max_length=limits.MAX_ERROR_CHARACTERS)] | None = Field(
        default=None, description="A definitive no: the step fails with it"
    )


class Completed(BaseModel):
    step_id: uuid.UUID
    attempt: int
    at: datetime


@contextmanager
def faults_below(pointer: str) -> Iterator[None]:
    """The faults of a value, at its place in the body."""
    try:
        yield
    except InvalidInput as refusal:
        faults = [FieldError(pointer=f"{pointer}{at}", detail=text) for at, text in refusal.errors]
        raise Problem(422, "invalid-input", "The values do not fit.", errors=faults) from refusal


def _steer(
    request: ApiRequest, run_id: uuid.UUID, verb: Verb, body: Because | None
) -> HttpResponse:
    reason = body.reason if body else ""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        run, _ = deeds.steer(request.auth.person, run_id, verb, reason=reason, request=request)
        return 202, shown(run)

    return once(request, deed)


@router.post("/runs/{run_id}/cancel", auth=door("runs.cancel"), response={202: RunShown})
def cancel_run(request: ApiRequest, run_id: uuid.UUID, body: Because | None = None) -> HttpResponse:
    """Ask a run to stop: what is in flight ends first, and what can be undone is undone."""
    return _steer(request, run_id, "cancel", body)


@router.post("/runs/{run_id}/pause", auth=door("runs.cancel"), response={202: RunShown})
def pause_run(request: ApiRequest, run_id: uuid.UUID, body: Because) -> HttpResponse:
    """Have a run stand still until somebody resumes it; attempts in flight end first."""
    return _steer(request, run_id, "pause", body)


@router.post("/runs/{run_id}/resume", auth=door("runs.cancel"), response={202: RunShown})
def resume_run(request: ApiRequest, run_id: uuid.UUID, body: Because | None = None) -> HttpResponse:
    """Have a paused or quarantined run go on."""
    return _steer(request, run_id, "resume", body)


@router.post("/runs/{run_id}/terminate", auth=door("runs.cancel"), response={202: RunShown})
def terminate_run(request: ApiRequest, run_id: uuid.UUID, body: Because) -> HttpResponse:
    """End a run now: nothing is undone, and nothing in flight is waited for."""
    return _steer(request, run_id, "terminate", body)


@router.post("/runs/{run_id}/fork", auth=door("runs.start"), response={201: RunShown})
def fork_run(request: ApiRequest, run_id: uuid.UUID, body: Fork) -> HttpResponse:
    """Start a new run with the outcomes that this one had before a step."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        given = None if body.input is None else dict(body.input)
        run = deeds.fork(request.auth.person, run_id, at=body.at, input=given, request=request)
        return 201, shown(run)

    return once(request, deed)


@router.get("/bulk", auth=door("runs.cancel"), response=BulkFound)
def count_bulk(request: ApiRequest, query: Query[BulkFilter]) -> HttpResponse:
    """Count the runs that a bulk action would steer."""
    known_parameters(request, BulkFilter)
    found = deeds.find_for_bulk(request.auth.person, query.filter)
    return answer(BulkFound(count=found.count, fingerprint=found.fingerprint))


@router.post("/bulk", auth=door("runs.cancel"), response=BulkDone)
def steer_bulk(request: ApiRequest, body: BulkAction) -> HttpResponse:
    """Steer exactly the runs that were counted; refused when there are others by now."""

    def deed() -> tuple[int, BaseModel]:
        applied = deeds.steer_many(
            request.auth.person,
            body.filter.filter,
            body.action,
            fingerprint=body.fingerprint,
            reason=body.reason,
            request=request,
        )
        refused = [Unsteered(run_id=id, detail=why) for id, why in applied.refused]
        return 200, BulkDone(
            done=list(applied.done), unchanged=list(applied.unchanged), refused=refused
        )

    return once_by_itself(request, deed)


@router.post(
    "/runs/{run_id}/signals/{name}",
    auth=door("runs.signal"),
    response={201: SignalShown, 200: SignalShown},
)
def send_signal(
    request: ApiRequest, run_id: uuid.UUID, name: str, body: SendSignal
) -> HttpResponse:
    """Put a message into the mailbox of a run; its `Idempotency-Key` puts it there once."""

    def deed(key: str | None) -> tuple[int, BaseModel]:
        with faults_below(""):
            signal, is_new = deeds.send_signal(
                request.auth.person,
                run_id,
                name=name,
                payload=body.payload,
                dedup_key=key,
                request=request,
            )
        return 201 if is_new else 200, SignalShown.of(signal)

    return once(request, deed)


@router.get("/questions", auth=door("runs.view"), response=QuestionList)
def list_questions(request: ApiRequest) -> HttpResponse:
    """What runs ask people, and nobody has answered."""
    found = access.find_questions(request.auth.person)[: access.MAX_PAGE_SIZE]
    return answer(QuestionList(items=[QuestionShown.of(step) for step in found]))


@router.get("/runs/{run_id}/questions", auth=door("runs.view"), response=QuestionList)
def list_questions_of_run(request: ApiRequest, run_id: uuid.UUID) -> HttpResponse:
    """What this run asks people, and nobody has answered."""
    person = request.auth.person
    run = access.access_run_by_id(person, run_id)
    found = access.find_questions(person).filter(run=run)[: access.MAX_PAGE_SIZE]
    return answer(QuestionList(items=[QuestionShown.of(step) for step in found]))


@router.post(
    "/runs/{run_id}/questions/{position}/answer",
    auth=door("questions.answer"),
    response={201: SignalShown},
)
def answer_question(
    request: ApiRequest, run_id: uuid.UUID, position: int, body: AnswerQuestion
) -> HttpResponse:
    """Answer what a run asks, with values that fit the form of the question."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        with faults_below("/values"):
            answered = deeds.answer_question(
                request.auth.person, run_id, position, values=body.values, request=request
            )
        return 201, SignalShown.of(answered)

    return once(request, deed)


@router.post("/completions/{token}", auth=None, response={201: Completed})
def complete_step(request: ApiRequest, token: str, body: Complete) -> HttpResponse:
    """Say what became of a step that was left to the outside. The token is the leave to say it,
    and is good for once; a second call is refused and changes nothing."""
    if ("result" in body.model_fields_set) == (body.error is not None):
        said = "Give the result of the step (null where there is none), or its error."
        raise Problem(422, "invalid-request", said)
    told = completions.complete(token, result=body.result, error=body.error)
    return answer(Completed(step_id=told.step_id, attempt=told.attempt, at=told.at), status=201)
