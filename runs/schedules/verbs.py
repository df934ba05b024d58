"""What people may ask of schedules: to make one, change it, pause it, resume it, end it.

Each verb is one transaction under the lock on the schedule's row, which the sweep that fires
takes too: a tick is decided on before a change, or after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from django.db import IntegrityError, transaction

from runs import canonical, limits
from runs.clock import database_now
from runs.errors import ScheduleRefused
from runs.lifecycle import checked_input, get_workflow
from runs.models import Schedule
from runs.points import reach
from runs.schedules import times
from runs.schedules.reads import list_schedules, rhythm_of
from runs.schedules.times import Rhythm

UNCHANGED: Any = object()


@dataclass(frozen=True, kw_only=True)
class _Manner:
    """How a schedule starts its runs."""

    overlap: str
    catch_up_seconds: int
    jitter_seconds: int

    def check(self) -> None:
        if self.overlap not in Schedule.Overlap.values:
            raise ScheduleRefused(
                f"overlap is {self.overlap!r}; it is one of {', '.join(Schedule.Overlap.values)}."
            )
        shortest, longest = limits.MIN_CATCH_UP_SECONDS, limits.MAX_CATCH_UP_SECONDS
        if not shortest <= self.catch_up_seconds <= longest:
            raise ScheduleRefused(f"catch_up_seconds is from {shortest} to {longest}.")
        if not 0 <= self.jitter_seconds <= limits.MAX_JITTER_SECONDS:
            raise ScheduleRefused(f"jitter_seconds is from 0 to {limits.MAX_JITTER_SECONDS}.")


def create_schedule(
    *,
    tenant: str,
    name: str,
    workflow: str,
    input: dict[str, Any],
    owner: Any,
    cron: str = "",
    interval_seconds: int | None = None,
    time_zone: str = "UTC",
    overlap: str = Schedule.Overlap.SKIP,
    catch_up_seconds: int = 60,
    jitter_seconds: int = 0,
) -> Schedule:
    """Has runs of a registered workflow start by themselves, requested in the name of `owner`.

    When: `cron` (five fields, in `time_zone`), or every `interval_seconds` counted from now.
    A tick that could not be started in time still is, up to `catch_up_seconds` late. A run
    starts up to `jitter_seconds` after its tick. `overlap` says what becomes of a tick while a
    run of the schedule goes on: `skip`, `queue`, `cancel` (the old one) or `allow`.

    The input is checked as that of a start. Raises `ScheduleRefused`, `UnknownWorkflow`,
    `InvalidInput` or `PayloadTooLarge`; then there is no schedule.
    """
    _check_owner(tenant, owner)
    encoded = checked_input(get_workflow(workflow), input)
    rhythm = Rhythm(
        cron=" ".join(cron.split()),
        time_zone=time_zone,
        interval_seconds=interval_seconds,
        begins_at=database_now(),
    )
    times.check(rhythm)
    manner = _Manner(
        overlap=overlap, catch_up_seconds=catch_up_seconds, jitter_seconds=jitter_seconds
    )
    manner.check()
    if list_schedules(tenant).count() >= limits.MAX_SCHEDULES:
        raise ScheduleRefused(f"There are {limits.MAX_SCHEDULES} schedules already.")
    with _one_of_that_name(name):
        made = Schedule.objects.create(
            tenant=tenant,
            name=_checked_name(name),
            workflow=workflow,
            input=encoded,
            owner=owner,
            next_at=rhythm.next(rhythm.begins_at),
            **rhythm.__dict__,
            **manner.__dict__,
        )
    transaction.on_commit(lambda: reach("committed:schedule.made"))
    return made


def change_schedule(
    *,
    schedule: Schedule,
    owner: Any,
    name: str = UNCHANGED,
    workflow: str = UNCHANGED,
    input: dict[str, Any] = UNCHANGED,
    cron: str = UNCHANGED,
    interval_seconds: int | None = UNCHANGED,
    time_zone: str = UNCHANGED,
    overlap: str = UNCHANGED,
    catch_up_seconds: int = UNCHANGED,
    jitter_seconds: int = UNCHANGED,
) -> Schedule:
    """Changes what is given, and makes `owner`, who changes it, the owner: whoever says what is
    run is who requested it, and so does not approve it.

    A new cron expression takes the place of an interval, and the other way about. When the
    times change, the next tick is the first of the new ones after now, and an interval is
    counted from now. Ticks that were queued stay so, and run what the schedule says then.
    Raises what `create_schedule` raises; then nothing has changed.
    """
    _check_owner(schedule.tenant, owner)
    with locked(schedule) as now:
        before = rhythm_of(now)
        now.owner = owner
        now.name = now.name if name is UNCHANGED else _checked_name(name)
        if workflow is not UNCHANGED or input is not UNCHANGED:
            _change_work(now, workflow, input)
        rhythm = _changed_rhythm(before, cron, interval_seconds, time_zone)
        if rhythm != before:
            rhythm = replace(rhythm, begins_at=database_now())
            times.check(rhythm)
        given: dict[str, Any] = {
            "overlap": overlap,
            "catch_up_seconds": catch_up_seconds,
            "jitter_seconds": jitter_seconds,
        }
        kept = {key: getattr(now, key) for key, value in given.items() if value is UNCHANGED}
        manner = _Manner(**(given | kept))
        manner.check()
        for key, value in (rhythm.__dict__ | manner.__dict__).items():
            setattr(now, key, value)
        if rhythm != before and now.paused_at is None:
            now.next_at = rhythm.next(rhythm.begins_at)
        with _one_of_that_name(now.name):
            now.save()
    return now


def pause_schedule(*, schedule: Schedule, reason: str) -> bool:
    """Starts no more runs until it is resumed; what runs goes on, and queued ticks wait.

    False when it was paused before. Raises `ScheduleRefused` without a reason.
    """
    reason = reason.strip()
    if not reason or len(reason) > limits.MAX_REASON_CHARACTERS or "\0" in reason:
        raise ScheduleRefused(
            f"Say why it is paused, in 1 to {limits.MAX_REASON_CHARACTERS} characters."
        )
    with locked(schedule) as now:
        if now.paused_at is not None:
            return False
        now.paused_at, now.paused_because, now.next_at = database_now(), reason, None
        now.save(update_fields=["paused_at", "paused_because", "next_at"])
    return True


def resume_schedule(*, schedule: Schedule) -> bool:
    """Goes on with the first tick after now; those of the pause are no ticks at all.

    False when it was not paused. Raises `ScheduleRefused` when it was deleted.
    """
    with locked(schedule) as now:
        if now.paused_at is None:
            return False
        now.paused_at, now.paused_because = None, ""
        now.next_at = rhythm_of(now).next(database_now())
        now.save(update_fields=["paused_at", "paused_because", "next_at"])
    return True


def delete_schedule(*, schedule: Schedule) -> bool:
    """Ends a schedule; its runs go on and keep its name, which is free again for another.

    Its queued ticks do not start. False when it was deleted before.
    """
    try:
        with locked(schedule) as now:
            now.ended_at, now.next_at = database_now(), None
            now.save(update_fields=["ended_at", "next_at"])
    except ScheduleRefused:
        return False
    return True


@contextmanager
def locked(schedule: Schedule) -> Iterator[Schedule]:
    """The schedule as it is now, locked; raises `ScheduleRefused` when it was deleted."""
    with transaction.atomic():
        now = Schedule.objects.select_for_update(no_key=True).get(pk=schedule.pk)
        if now.ended_at is not None:
            raise ScheduleRefused(f"The schedule {now.name!r} was deleted.")
        yield now
    transaction.on_commit(lambda: reach("committed:schedule.changed"))


def _change_work(schedule: Schedule, workflow: str, input: Any) -> None:
    if workflow is not UNCHANGED:
        schedule.workflow = workflow
    given = canonical.decode(schedule.input) if input is UNCHANGED else input
    schedule.input = checked_input(get_workflow(schedule.workflow), given)


def _changed_rhythm(
    before: Rhythm, cron: str, interval_seconds: int | None, time_zone: str
) -> Rhythm:
    changed = before
    if cron is not UNCHANGED:
        changed = replace(changed, cron=" ".join(cron.split()), interval_seconds=None)
    if interval_seconds is not UNCHANGED:
        kept = "" if cron is UNCHANGED and interval_seconds is not None else changed.cron
        changed = replace(changed, cron=kept, interval_seconds=interval_seconds)
    return changed if time_zone is UNCHANGED else replace(changed, time_zone=time_zone)


def _check_owner(tenant: str, owner: Any) -> None:
    if owner.tenant != tenant or not owner.is_active:
        raise ScheduleRefused("The owner of a schedule is an active person of its tenant.")


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= limits.MAX_SCHEDULE_NAME or name != name.strip() or "\0" in name:
        raise ScheduleRefused(
            f"The name of a schedule has 1 to {limits.MAX_SCHEDULE_NAME} characters,"
            " with no space before or after."
        )
    return name


@contextmanager
def _one_of_that_name(name: str) -> Iterator[None]:
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "runs_schedule_name" not in str(error):
            raise
        raise ScheduleRefused(f"There is a schedule called {name!r} already.") from error
