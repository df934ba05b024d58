"""The calls about schedules: when runs start by themselves."""

from __future__ import annotations

import uuid
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from console import access, planning
from console.api.auth import ApiRequest, door
from console.api.idempotency import answer, once
from console.api.shapes import (
    Body,
    Limit,
    Name,
    RunShown,
    known_parameters,
    shown,
)
from runs import canonical, limits, schedules
from runs.clock import database_now
from runs.models import Schedule, Tick
from runs.schedules.reads import rhythm_of

router = Router()
READ, WRITE = door("runs.view"), door("runs.start")

Overlap = Literal["skip", "queue", "cancel", "allow"]
Outcome = Literal["started", "queued", "skipped", "missed", "refused"]
Cron = Annotated[str, StringConstraints(max_length=limits.MAX_CRON_CHARACTERS)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=limits.MAX_SCHEDULE_NAME)]
Zone = Annotated[str, StringConstraints(max_length=64)]
SHOWN_TIMES = 5


class CreateSchedule(Body):
    name: Title
    workflow: Name
    input: dict[str, JsonValue] = Field(default_factory=dict)
    cron: Cron = Field(default="", description="Five fields; or else an interval")
    interval_seconds: int | None = None
    time_zone: Zone = "UTC"
    overlap: Overlap = "skip"
    catch_up_seconds: int = Field(default=60, description="How late a tick may still start")
    jitter_seconds: int = 0


class ChangeSchedule(Body):
    """What is given is changed; whoever changes a schedule becomes its owner."""

    name: Title = ""
    workflow: Name = ""
    input: dict[str, JsonValue] = Field(default_factory=dict)
    cron: Cron = ""
    interval_seconds: int | None = None
    time_zone: Zone = ""
    overlap: Overlap = "skip"
    catch_up_seconds: int = 60
    jitter_seconds: int = 0


class PauseSchedule(Body):
    reason: Annotated[str, StringConstraints(min_length=1, max_length=limits.MAX_REASON_CHARACTERS)]


class Span(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime
    until: AwareDatetime


class Backfill(Span):
    count: int = Field(ge=0, description="What `GET .../backfill` has counted")


class Counted(BaseModel):
    count: int


class ScheduleShown(BaseModel):
    id: uuid.UUID
    name: str
    workflow: str
    input: JsonValue
    owner: str
    cron: str
    interval_seconds: int | None
    time_zone: str
    overlap: Overlap
    catch_up_seconds: int
    jitter_seconds: int
    next_at: datetime | None
    next_times: list[datetime] = Field(description="The next ones, before jitter")
    paused_at: datetime | None
    paused_because: str
    ended_at: datetime | None = Field(description="When it was deleted")
    created_at: datetime

    @classmethod
    def of(cls, schedule: Schedule, now: datetime | None = None) -> ScheduleShown:
        is_over = schedule.ended_at is not None
        coming = () if is_over else rhythm_of(schedule).after(now or database_now())
        columns = {
            name: getattr(schedule, name)
            for name in cls.model_fields
            if name not in ("input", "owner", "next_times")
        }
        return cls(
            **columns,
            input=canonical.decode(schedule.input),
            owner=schedule.owner.get_username(),
            next_times=list(islice(coming, SHOWN_TIMES)),
        )


class ScheduleList(BaseModel):
    items: list[ScheduleShown]


class TickShown(BaseModel):
    at: datetime
    starts_at: datetime
    outcome: Outcome
    because: str
    is_backfill: bool
    run_id: uuid.UUID | None

    @classmethod
    def of(cls, tick: Tick) -> TickShown:
        return cls(**{name: getattr(tick, name) for name in cls.model_fields})


class TickList(BaseModel):
    items: list[TickShown] = Field(description="The newest first")


class TickFilter(BaseModel):
    limit: Limit = 50


@router.get("/schedules", auth=READ, response=ScheduleList)
def list_schedules(request: ApiRequest) -> HttpResponse:
    """Schedules by name."""
    found = access.find_schedules(request.auth.person).defer(None)
    now = database_now()
    return answer(ScheduleList(items=[ScheduleShown.of(schedule, now) for schedule in found]))


@router.post("/schedules", auth=WRITE, response={201: ScheduleShown})
def create_schedule(request: ApiRequest, body: CreateSchedule) -> HttpResponse:
    """Have runs of a workflow start by themselves, requested in your name."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        made = planning.create(request.auth.person, request=request, **body.model_dump())
        return 201, ScheduleShown.of(made)

    return once(request, deed)


@router.get("/schedules/{schedule_id}", auth=READ, response=ScheduleShown)
def get_schedule(request: ApiRequest, schedule_id: uuid.UUID) -> HttpResponse:
    """One schedule, also one that was deleted."""
    return answer(ScheduleShown.of(access.access_schedule_by_id(request.auth.person, schedule_id)))


@router.patch("/schedules/{schedule_id}", auth=WRITE, response=ScheduleShown)
def change_schedule(
    request: ApiRequest, schedule_id: uuid.UUID, body: ChangeSchedule
) -> HttpResponse:
    """Change what is given, and nothing else; you become the owner."""
    given: dict[str, Any] = body.model_dump(include=body.model_fields_set)
    changed = planning.change(request.auth.person, schedule_id, request=request, **given)
    return answer(ScheduleShown.of(changed))


@router.delete("/schedules/{schedule_id}", auth=WRITE, response=ScheduleShown)
def delete_schedule(request: ApiRequest, schedule_id: uuid.UUID) -> HttpResponse:
    """End a schedule; its runs go on."""
    ended = planning.delete(request.auth.person, schedule_id, request=request)
    return answer(ScheduleShown.of(ended))


@router.post("/schedules/{schedule_id}/pause", auth=WRITE, response=ScheduleShown)
def pause_schedule(
    request: ApiRequest, schedule_id: uuid.UUID, body: PauseSchedule
) -> HttpResponse:
    """Start no more runs until it is resumed."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        paused = planning.pause(
            request.auth.person, schedule_id, reason=body.reason, request=request
        )
        return 200, ScheduleShown.of(paused)

    return once(request, deed)


@router.post("/schedules/{schedule_id}/resume", auth=WRITE, response=ScheduleShown)
def resume_schedule(request: ApiRequest, schedule_id: uuid.UUID) -> HttpResponse:
    """Go on with the first tick after now; those of the pause are left out."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        resumed = planning.resume(request.auth.person, schedule_id, request=request)
        return 200, ScheduleShown.of(resumed)

    return once(request, deed)


@router.post("/schedules/{schedule_id}/trigger", auth=WRITE, response={201: RunShown})
def trigger_schedule(request: ApiRequest, schedule_id: uuid.UUID) -> HttpResponse:
    """Start a run of it now, requested in your name."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        return 201, shown(planning.trigger(request.auth.person, schedule_id, request=request))

    return once(request, deed)


@router.get("/schedules/{schedule_id}/backfill", auth=WRITE, response=Counted)
def count_backfill(request: ApiRequest, schedule_id: uuid.UUID, query: Query[Span]) -> HttpResponse:
    """Count the times of a span for which no run was started."""
    known_parameters(request, Span)
    count = planning.count_backfill(
        request.auth.person, schedule_id, since=query.since, until=query.until
    )
    return answer(Counted(count=count))


@router.post("/schedules/{schedule_id}/backfill", auth=WRITE, response={202: Counted})
def backfill_schedule(request: ApiRequest, schedule_id: uuid.UUID, body: Backfill) -> HttpResponse:
    """Queue a run for each of the times that were counted; refused when there are others."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        given = body.model_dump()
        queued = planning.backfill(request.auth.person, schedule_id, request=request, **given)
        return 202, Counted(count=queued)

    return once(request, deed)


@router.get("/schedules/{schedule_id}/ticks", auth=READ, response=TickList)
def list_ticks(
    request: ApiRequest, schedule_id: uuid.UUID, query: Query[TickFilter]
) -> HttpResponse:
    """What became of its times."""
    known_parameters(request, TickFilter)
    found = access.access_schedule_by_id(request.auth.person, schedule_id)
    ticks = schedules.recent_ticks(found, limit=query.limit).select_related(None)
    return answer(TickList(items=[TickShown.of(tick) for tick in ticks]))
