"""What people do with schedules: the right, the verb of the engine and the audit entry."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from console import access, audit
from console.models import User
from runs import schedules
from runs.errors import ScheduleRefused
from runs.models import Run, Schedule


def create(
    person: User, *, actor: str = "", request: HttpRequest | None = None, **given: Any
) -> Schedule:
    """A schedule of this person, who requests its runs; see `runs.schedules.create_schedule`.

    Raises `access.Forbidden`, and whatever the engine refuses with.
    """
    access.require(person, "runs.start")
    with transaction.atomic():
        made = schedules.create_schedule(tenant=person.tenant, owner=person, **given)
        _record(person, made, "schedule_created", actor=actor, request=request)
    return made


def change(
    person: User,
    id: uuid.UUID | str,
    *,
    actor: str = "",
    request: HttpRequest | None = None,
    **given: Any,
) -> Schedule:
    """Changes what is given; whoever changes a schedule becomes its owner."""
    found = access.access_schedule_by_id(person, id, right="runs.start")
    with transaction.atomic():
        changed = schedules.change_schedule(schedule=found, owner=person, **given)
        detail = {"fields": sorted(given)}
        _record(person, changed, "schedule_changed", actor=actor, request=request, detail=detail)
    return changed


def pause(
    person: User,
    id: uuid.UUID | str,
    *,
    reason: str,
    actor: str = "",
    request: HttpRequest | None = None,
) -> Schedule:
    return _turn(
        person,
        id,
        "schedule_paused",
        lambda found: schedules.pause_schedule(schedule=found, reason=reason),
        actor=actor,
        request=request,
        detail={"reason": reason},
    )


def resume(
    person: User, id: uuid.UUID | str, *, actor: str = "", request: HttpRequest | None = None
) -> Schedule:
    return _turn(
        person,
        id,
        "schedule_resumed",
        lambda found: schedules.resume_schedule(schedule=found),
        actor=actor,
        request=request,
    )


def delete(
    person: User, id: uuid.UUID | str, *, actor: str = "", request: HttpRequest | None = None
) -> Schedule:
    return _turn(
        person,
        id,
        "schedule_deleted",
        lambda found: schedules.delete_schedule(schedule=found),
        actor=actor,
        request=request,
    )


def trigger(
    person: User, id: uuid.UUID | str, *, actor: str = "", request: HttpRequest | None = None
) -> Run:
    """A run of the schedule now, requested by this person."""
    found = access.access_schedule_by_id(person, id, right="runs.start")
    with transaction.atomic():
        run = schedules.trigger_now(schedule=found, person=person)
        detail = {"run": str(run.id)}
        _record(person, found, "schedule_triggered", actor=actor, request=request, detail=detail)
    return run


def count_backfill(person: User, id: uuid.UUID | str, *, since: datetime, until: datetime) -> int:
    """How many runs `backfill` would queue; raises what it would raise."""
    found = access.access_schedule_by_id(person, id, right="runs.start")
    return schedules.count_backfill(schedule=found, since=since, until=until)


def backfill(
    person: User,
    id: uuid.UUID | str,
    *,
    since: datetime,
    until: datetime,
    count: int,
    actor: str = "",
    request: HttpRequest | None = None,
) -> int:
    """Queues the runs that were missed, if there are as many as were counted."""
    found = access.access_schedule_by_id(person, id, right="runs.start")
    with transaction.atomic():
        queued = schedules.backfill(schedule=found, person=person, since=since, until=until)
        if queued != count:
            raise ScheduleRefused(
                f"There are {queued} times without a run by now, and not {count}. Look again."
            )
        detail = {"since": since.isoformat(), "until": until.isoformat(), "count": queued}
        _record(person, found, "schedule_backfilled", actor=actor, request=request, detail=detail)
    return queued


def _turn(
    person: User,
    id: uuid.UUID | str,
    action: str,
    verb: Callable[[Schedule], bool],
    *,
    actor: str,
    request: HttpRequest | None,
    detail: dict[str, Any] | None = None,
) -> Schedule:
    """A verb that is done once, however often it is asked for."""
    found = access.access_schedule_by_id(person, id, right="runs.start")
    with transaction.atomic():
        if verb(found):
            _record(person, found, action, actor=actor, request=request, detail=detail)
    found.refresh_from_db()
    return found


def _record(
    person: User,
    schedule: Schedule,
    action: str,
    *,
    actor: str,
    request: HttpRequest | None,
    detail: dict[str, Any] | None = None,
) -> None:
    audit.record(
        person=person,
        actor=actor,
        action=action,
        subject=f"Schedule {schedule.name}",
        subject_id=schedule.id,
        detail=detail,
        request=request,
    )
