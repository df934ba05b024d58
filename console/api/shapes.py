"""What the calls take and give, as pydantic shapes; the OpenAPI page is made of these.

Money is always minor units with a currency, times are RFC 3339 in UTC, and what the
engine keeps as canonical bytes is given as the JSON that it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import Count
from django.http import HttpRequest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from console import access
from console.access import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from console.api.problems import FieldError, Problem
from runs import canonical
from runs.limits import MAX_REASON_CHARACTERS as MAX_SETTLEMENT_REASON
from runs.models import Event, Run, Settlement, Signal, Step

MAX_SEQ = 2**63 - 1
MAX_POSITION = 2**31 - 1

Name = Annotated[str, StringConstraints(pattern=r"^[\w.:-]{1,128}$")]
Limit = Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="MAX_PAGE_SIZE is the most")]
RunStatus = Literal[
    "ready", "running", "waiting", "paused", "quarantined", "succeeded", "failed", "cancelled"
]
Answer = Literal["happened", "did_not_happen", "retry", "retry_with", "skip", "undo", "give_up"]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StartRun(Body):
    workflow: Name
    input: dict[str, JsonValue] = Field(default_factory=dict)


class Settle(Body):
    answer: Answer
    reason: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_SETTLEMENT_REASON),
    ] = Field(description="How you know it")
    result: JsonValue = Field(
        default=None,
        description="With `happened` and `skip` only: what the step gives to the workflow",
    )
    arguments: dict[str, JsonValue] | None = Field(
        default=None, description="With `retry_with` only: the other arguments, all of them"
    )
    attempt: Annotated[int, Field(ge=1, le=MAX_POSITION)] | None = Field(
        default=None, description="The attempt that you looked up; refused if there is a later one"
    )

    @property
    def fault(self) -> tuple[str, str]:
        """What is wrong beside the answer, as (field, sentence); empty when nothing is."""
        has_result = "result" in self.model_fields_set
        if self.answer in ("happened", "skip") and not has_result:
            said = "with what result it happened" if self.answer == "happened" else "the result"
            return "/result", f"Say {said}; null where there is none."
        if self.answer not in ("happened", "skip") and has_result:
            return "/result", "Only what happened, or is skipped, has a result."
        if self.answer == "retry_with" and self.arguments is None:
            return "/arguments", "Give the other arguments, all of them."
        if self.answer != "retry_with" and self.arguments is not None:
            return "/arguments", "Only `retry_with` takes other arguments."
        return "", ""


class RunFilter(BaseModel):
    status: RunStatus | None = None
    workflow: Name | None = None
    parent: uuid.UUID | None = None
    schedule: uuid.UUID | None = None
    since: AwareDatetime | None = None
    cursor: str = ""
    limit: Limit = DEFAULT_PAGE_SIZE


class StepFilter(BaseModel):
    steps_after: Annotated[int, Field(ge=-1, le=MAX_POSITION)] = -1


class EventFilter(BaseModel):
    after: Annotated[int, Field(ge=0, le=MAX_SEQ)] = 0
    limit: Limit = DEFAULT_PAGE_SIZE


class Error(BaseModel):
    kind: str
    message: str


class Progress(BaseModel):
    done: int
    total: int
    note: str


_PLAIN = (
    "pause_requested_at",
    "terminate_requested_at",
    "deadline_at",
    "parent_id",
    "parent_position",
    "continued_from_id",
    "forked_from_id",
    "forked_at",
    "schedule_id",
    "scheduled_for",
)


class RunSummary(BaseModel):
    id: uuid.UUID
    workflow: str
    version: int
    status: RunStatus
    requested_by: str
    waiting_for: str
    waiting_since: datetime | None
    wake_at: datetime | None
    progress: Progress
    cancel_requested_at: datetime | None
    cancel_requested_by: str
    pause_requested_at: datetime | None
    terminate_requested_at: datetime | None
    steered_because: str
    deadline_at: datetime | None
    parent_id: uuid.UUID | None
    parent_position: int | None
    continued_from_id: uuid.UUID | None
    forked_from_id: uuid.UUID | None
    forked_at: int | None = Field(description="The first position that a fork did itself")
    schedule_id: uuid.UUID | None
    scheduled_for: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def fields_of(cls, run: Run) -> dict[str, Any]:
        return {
            "id": run.id,
            "workflow": run.workflow,
            "version": run.version,
            "status": run.status,
            "requested_by": run.requested_by.get_username(),
            "waiting_for": run.waiting_for,
            "waiting_since": run.waiting_since,
            "wake_at": run.wake_at,
            "progress": Progress(
                done=run.progress_done, total=run.progress_total, note=run.progress_note
            ),
            "cancel_requested_at": run.cancel_requested_at,
            "cancel_requested_by": run.cancel_requested_by,
            "steered_because": run.steered_because or "",
            **{name: getattr(run, name) for name in _PLAIN},
            "created_at": run.created_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
        }

    @classmethod
    def of(cls, run: Run) -> RunSummary:
        return cls(**cls.fields_of(run))


class SettlementShown(BaseModel):
    id: uuid.UUID
    attempt: int
    person: str
    answer: Answer
    result: JsonValue
    reason: str
    at: datetime

    @classmethod
    def of(cls, said: Settlement) -> SettlementShown:
        return cls(
            id=said.id,
            attempt=said.attempt,
            person=said.person.get_username(),
            answer=said.answer,  # type: ignore[arg-type]  # a check constraint keeps it
            result=_json(said.result),
            reason=said.reason,
            at=said.at,
        )


class StepProgress(Progress):
    details: JsonValue
    beat_at: datetime

    @classmethod
    def of(cls, step: Step) -> StepProgress | None:
        claim = getattr(step, "stepclaim", None)
        if claim is None or claim.beat_at is None:
            return None
        return cls(
            done=claim.progress_done,
            total=claim.progress_total,
            note=claim.progress_note,
            details=_json(claim.details),
            beat_at=claim.beat_at,
        )


class StepShown(BaseModel):
    id: uuid.UUID
    position: int
    kind: str
    name: str
    effect: str
    is_money: bool
    status: str
    arguments: JsonValue
    digest: str
    key: str
    attempt: int
    deaths: int = Field(description="Attempts whose process was lost")
    not_before: datetime | None
    give_up_at: datetime | None = Field(description="The end of all its attempts")
    copied_from: uuid.UUID | None = Field(description="The step whose outcome a fork copied")
    progress: StepProgress | None = Field(description="What its tool told of itself")
    result: JsonValue
    error: Error | None
    held_because: str
    gate_id: uuid.UUID | None
    settlements: list[SettlementShown] = Field(description="What people said became of it")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, step: Step) -> StepShown:
        gate = getattr(step, "gate", None)
        return cls(
            id=step.id,
            position=step.position,
            kind=step.kind,
            name=step.name,
            effect=step.effect,
            is_money=step.is_money,
            status=step.status,
            arguments=_json(step.arguments),
            digest=_hex(step.digest),
            key=step.key,
            attempt=step.attempt,
            deaths=step.deaths,
            not_before=step.not_before,
            give_up_at=step.give_up_at,
            copied_from=step.copied_from,
            progress=StepProgress.of(step),
            result=_json(step.result),
            error=_error(step.error),
            held_because=step.held_because,
            gate_id=gate.id if gate else None,
            settlements=[SettlementShown.of(said) for said in step.settlements.all()],
            created_at=step.created_at,
            started_at=step.started_at,
            finished_at=step.finished_at,
        )


class SignalShown(BaseModel):
    """A message in the mailbox of a run, without what it says."""

    id: uuid.UUID
    run_id: uuid.UUID
    name: str
    sender: str
    sent_at: datetime
    taken_at: int | None = Field(description="The position of the step that took it")

    @classmethod
    def of(cls, signal: Signal) -> SignalShown:
        return cls(**{name: getattr(signal, name) for name in cls.model_fields})


class Wait(BaseModel):
    """A step that the run waits for."""

    position: int
    kind: str
    name: str
    status: str
    until: datetime | None


class Relative(BaseModel):
    """Another run that this one has to do with."""

    id: uuid.UUID
    workflow: str
    status: RunStatus
    position: int | None = Field(description="Of a child: the step that started it")


class RunError(Error):
    recorded: str | None = Field(default=None, description="Of a mismatch: what the journal holds")
    found: str | None = Field(default=None, description="Of a mismatch: what the code asks for")


class RunShown(RunSummary):
    input: JsonValue
    result: JsonValue
    error: RunError | None
    ending: JsonValue = Field(description="How it ends, once what it did is undone")
    continued_by_id: uuid.UUID | None
    waits: list[Wait] = Field(description="What it waits for, at most MAX_PAGE_SIZE")
    waits_for_any: bool = Field(description="Whether the first of them wakes it")
    children: list[Relative] = Field(
        description="At most MAX_PAGE_SIZE; all of them with `GET runs?parent=`"
    )
    child_counts: dict[str, int] = Field(description="How many children are in each status")
    forks: list[Relative] = Field(description="At most MAX_PAGE_SIZE, the newest first")
    steps: list[StepShown] = Field(description="At most MAX_PAGE_SIZE, by position")
    next_steps_after: int | None = Field(
        description="Give it as `steps_after` for the steps that follow; null when none does"
    )

    @classmethod
    def with_steps(cls, run: Run, steps: Sequence[Step]) -> RunShown:
        """`steps` are those to show, and one more when there are more."""
        shown = steps[:MAX_PAGE_SIZE]
        return cls(
            **cls.fields_of(run),
            input=_json(run.input),
            result=_json(run.result),
            error=None if run.error is None else RunError(**run.error),
            ending=run.ending,
            waits_for_any=run.awaits_any,
            **_relatives(run),
            steps=[StepShown.of(step) for step in shown],
            next_steps_after=shown[-1].position if len(steps) > len(shown) else None,
        )


class EventShown(BaseModel):
    seq: int
    kind: str
    position: int | None
    actor: str
    body: JsonValue
    at: datetime
    trace_id: str

    @classmethod
    def of(cls, event: Event) -> EventShown:
        return cls(
            seq=event.seq,
            kind=event.kind,
            position=event.position,
            actor=event.actor,
            body=_json(event.body),
            at=event.at,
            trace_id=event.trace_id,
        )


class RunList(BaseModel):
    items: list[RunSummary]
    next_cursor: str = Field(description="Empty on the last page")


class EventList(BaseModel):
    items: list[EventShown]
    next_after: int = Field(description="Give it as `after` to read on")


class Fault(BaseModel):
    pointer: str | None = None
    parameter: str | None = None
    detail: str


class ProblemShown(BaseModel):
    """RFC 9457. `type` is the stable word for machines, `detail` the sentence for people."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None


def known_parameters(request: HttpRequest, shape: type[BaseModel]) -> None:
    """Refuse what the query has beyond its shape: a misspelt filter would show everything."""
    unknown = sorted(set(request.GET) - set(shape.model_fields))
    repeated = sorted(name for name, values in request.GET.lists() if len(values) > 1)
    faults = [FieldError(parameter=name, detail="This parameter is not known.") for name in unknown]
    faults += [FieldError(parameter=name, detail="Give this parameter once.") for name in repeated]
    if faults:
        detail = "The query has parameters that do not fit."
        raise Problem(422, "invalid-request", detail, errors=faults)


def shown(run: Run, *, after: int = -1) -> RunShown:
    """A run with its relatives and one page of its steps."""
    steps = access.find_steps(run).filter(position__gt=after)
    return RunShown.with_steps(run, list(steps[: MAX_PAGE_SIZE + 1]))


def _relatives(run: Run) -> dict[str, Any]:
    waits = Step.objects.filter(run=run, position__in=run.awaited or []).order_by("position")
    waits = waits.exclude(status__in=Step.ENDED)[:MAX_PAGE_SIZE]
    children = Run.objects.filter(tenant=run.tenant, parent=run)
    counts = children.order_by().values_list("status").annotate(Count("id"))
    continued_by = Run.objects.filter(continued_from=run).values_list("id", flat=True).first()
    columns = ("id", "workflow", "status", "parent_position")
    return {
        "continued_by_id": continued_by,
        "waits": [
            Wait(position=s.position, kind=s.kind, name=s.name, status=s.status, until=s.not_before)
            for s in waits.only("position", "kind", "name", "status", "not_before")
        ],
        "children": [
            Relative(id=id, workflow=workflow, status=status, position=position)
            for id, workflow, status, position in children.order_by("parent_position").values_list(
                *columns
            )[:MAX_PAGE_SIZE]
        ],
        "child_counts": dict(counts),
        "forks": [
            Relative(id=id, workflow=workflow, status=status, position=None)
            for id, workflow, status in run.forks.order_by("-id").values_list(*columns[:3])[
                :MAX_PAGE_SIZE
            ]
        ],
    }


def _json(encoded: bytes | memoryview | None) -> Any:
    return None if encoded is None else canonical.decode(encoded)


def _hex(digest: bytes | memoryview) -> str:
    return bytes(digest).hex()


def _error(error: Any) -> Error | None:
    return None if error is None else Error(kind=error["kind"], message=error["message"])
