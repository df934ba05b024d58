"""Firing: the sweep that turns due ticks into runs, one run for each tick at most.

What makes it one: the schedule's row is locked for the whole of a transaction, which writes the
ticks, their runs and the next time together; a tick's key is (tenant, schedule, time), and so is
a unique key of runs. Two sweeps at once, or a crash anywhere, find either all of it or nothing.

A due tick is first written down as queued, then looked at like every queued one: started,
skipped, refused, or left queued with what it waits for, in words.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from runs import limits, steering
from runs.clock import database_now
from runs.errors import Refused, ScheduleRefused
from runs.models import Run, Schedule, Tick
from runs.points import reach
from runs.schedules import births, times
from runs.schedules.reads import LIVING, living_runs, rhythm_of
from runs.schedules.times import MICROSECOND

logger = logging.getLogger(__name__)

Outcome = Tick.Outcome
Overlap = Schedule.Overlap

_IS_BUSY = f"EXISTS ({LIVING.format(schedule='s.id', tenant='s.tenant')})"
# Schedules with a tick that is due, or with a queued one that could start now. One that waits
# for a run to end is not among them, unless that run is to be cancelled for it.
DUE = """
    SELECT s.id FROM runs_schedule s
    WHERE s.next_at <= clock_timestamp() AND s.paused_at IS NULL AND s.ended_at IS NULL
    ORDER BY s.next_at LIMIT %(most)s
"""
QUEUED = f"""
    SELECT s.id FROM runs_schedule s
    WHERE s.paused_at IS NULL AND s.ended_at IS NULL
      AND EXISTS (SELECT FROM runs_tick t WHERE t.schedule_id = s.id AND t.outcome = 'queued'
                  AND t.starts_at <= clock_timestamp()
                  AND (s.overlap IN ('allow', 'skip') AND NOT t.is_backfill OR s.overlap = 'allow'
                       OR NOT {_IS_BUSY}
                       OR s.overlap = 'cancel' AND EXISTS (
                           SELECT FROM runs_run r WHERE r.schedule_id = s.id
                             AND r.finished_at IS NULL AND r.cancel_requested_at IS NULL)))
    ORDER BY s.id LIMIT %(most)s
"""


def fire_due_schedules() -> int:
    """A sweep: starts what is due, and decides on the ticks that cannot start.

    Returns how many schedules it looked after.
    """
    found = [*_ids(DUE), *_ids(QUEUED)]
    return sum(_attempt(id) for id in dict.fromkeys(found))


def _attempt(schedule_id: UUID) -> bool:
    """One that cannot be fired, whatever the reason, keeps no other from being fired."""
    try:
        return _look_after(schedule_id)
    except Exception as error:
        if connection.in_atomic_block or not connection.is_usable():
            raise
        logger.exception("The schedule %s was not fired: %s", schedule_id, error)
        return False


def _look_after(schedule_id: UUID) -> bool:
    """One schedule; False when another sweep has it, or when it is nothing to be fired."""
    with transaction.atomic():
        schedule = (
            Schedule.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(pk=schedule_id, paused_at=None, ended_at=None)
            .first()
        )
        if schedule is None:
            return False
        now = database_now()
        _write_down(schedule, now)
        reach("schedule.written")
        in_the_way = _start_queued(schedule, now)
        reach("schedule.decided")
    reach("committed:schedule.fired")
    # Each in a transaction of its own: no two runs are locked at once. What is lost here is
    # found by the next sweep, for the tick is still queued.
    for run_id in in_the_way:
        _cancel(run_id, schedule)
    return True


def _write_down(schedule: Schedule, now: datetime) -> None:
    """The ticks that are due become rows, and the schedule's next time the first that is not."""
    first = schedule.next_at
    if first is None or first > now:
        return
    try:
        schedule.next_at = _write_until(schedule, first, now)
    except ScheduleRefused as error:
        # Its time zone is not known here any more. It says so, and does not fire again.
        _insert(schedule, first, first, Outcome.REFUSED, error.message)
        schedule.next_at = None
    schedule.save(update_fields=["next_at"])


def _write_until(schedule: Schedule, first: datetime, now: datetime) -> datetime | None:
    """Writes down the ticks from `first` on, at most so many; returns the next one."""
    rhythm = rhythm_of(schedule)
    oldest = now - timedelta(seconds=schedule.catch_up_seconds)
    if first < oldest:
        _write_missed(schedule, first, oldest)
        first = max(first, oldest)
    due = list(islice(rhythm.between(first, now), limits.TICKS_A_PASS))
    for at in due:
        _write_due(schedule, at)
    return rhythm.next(due[-1] if due else now)


def _write_missed(schedule: Schedule, first: datetime, oldest: datetime) -> None:
    """One row, at the first of them, for all ticks that are too old to be started."""
    most = limits.MAX_MISSED_COUNTED
    missed = rhythm_of(schedule).between(first, oldest - MICROSECOND)
    count = sum(1 for _ in islice(missed, most + 1))
    told = "1 tick was" if count == 1 else f"{count:,} ticks were"
    if count > most:
        told = f"More than {most:,} ticks were"
    because = (
        f"{told} missed up to {oldest:%Y-%m-%d %H:%M:%S} UTC: nothing fired for longer than the"
        f" {schedule.catch_up_seconds} seconds within which it is caught up."
    )
    _insert(schedule, first, first, Outcome.MISSED, because)


def _write_due(schedule: Schedule, at: datetime) -> None:
    starts_at = times.starts_at(schedule.id, at, schedule.jitter_seconds)
    if (
        schedule.overlap == Overlap.QUEUE
        and _queued(schedule).filter(is_backfill=False).count() >= limits.MAX_QUEUED_TICKS
    ):
        because = f"{limits.MAX_QUEUED_TICKS} ticks are queued already."
        _insert(schedule, at, starts_at, Outcome.SKIPPED, because)
        return
    because = "" if starts_at == at else f"It starts at {starts_at:%H:%M:%S} UTC, by its jitter."
    _insert(schedule, at, starts_at, Outcome.QUEUED, because)


def _insert(
    schedule: Schedule, at: datetime, starts_at: datetime, outcome: str, because: str
) -> None:
    Tick.objects.bulk_create(
        [
            Tick(
                tenant=schedule.tenant,
                schedule=schedule,
                at=at,
                starts_at=starts_at,
                outcome=outcome,
                because=because[:255],
            )
        ],
        # A person may have started or queued this very time before.
        ignore_conflicts=True,
    )


def _start_queued(schedule: Schedule, now: datetime) -> list[UUID]:
    """Decides on the queued ticks whose time has come, those of a backfill last.

    Returns the runs that are to be cancelled before the next of them can start.
    """
    ready = _queued(schedule).filter(starts_at__lte=now).order_by("is_backfill", "at")
    waiting = list(ready[: limits.TICKS_A_PASS])
    if schedule.overlap == Overlap.CANCEL:
        waiting = _only_newest(waiting)
    living = [] if schedule.overlap == Overlap.ALLOW else living_runs(schedule)
    for tick in waiting:
        if living and (schedule.overlap != Overlap.SKIP or tick.is_backfill):
            _decide(tick, Outcome.QUEUED, _words_of(living))
            return _to_cancel(schedule, living, tick)
        if living:
            _decide(tick, Outcome.SKIPPED, _words_of(living))
            continue
        run = _start(schedule, tick)
        if run is not None and schedule.overlap != Overlap.ALLOW:
            living = [run.id]
    return []


def _start(schedule: Schedule, tick: Tick) -> Run | None:
    because = births.refusal(schedule)
    if because:
        logger.warning("The tick of %s of %r is refused: %s", tick.at, schedule.name, because)
        _decide(tick, Outcome.REFUSED, because)
        return None
    run = births.start(schedule, tick.at, requested_by_id=schedule.owner_id, actor="engine")
    reach("schedule.started")
    _decide(tick, Outcome.STARTED, "", run)
    return run


def _only_newest(ticks: list[Tick]) -> list[Tick]:
    """Where the new one takes the place of the old, only the newest is worth starting."""
    live = [tick for tick in ticks if not tick.is_backfill]
    for tick in live[:-1]:
        _decide(tick, Outcome.SKIPPED, "A later tick came due before it could start.")
    return [*live[-1:], *(tick for tick in ticks if tick.is_backfill)]


def _to_cancel(schedule: Schedule, living: list[UUID], tick: Tick) -> list[UUID]:
    """Of the runs in the way of a tick those that it cancels: no run of a backfill."""
    if schedule.overlap != Overlap.CANCEL or tick.is_backfill:
        return []
    kept = Tick.objects.filter(
        tenant=schedule.tenant, schedule=schedule, is_backfill=True, run_id__in=living
    )
    return [id for id in living if id not in set(kept.values_list("run_id", flat=True))]


def _cancel(run_id: UUID, schedule: Schedule) -> None:
    run = Run.objects.get(pk=run_id)
    reason = f"a later tick of the schedule {schedule.name} takes its place"
    try:
        steering.request_cancel(run=run, actor="engine", reason=reason)
    except Refused as refused:
        logger.info("The run %s is not cancelled: %s", run_id, refused)


def _decide(tick: Tick, outcome: str, because: str, run: Run | None = None) -> None:
    changed = Tick.objects.filter(
        tenant=tick.tenant, schedule=tick.schedule_id, at=tick.at, outcome=Outcome.QUEUED
    ).update(outcome=outcome, because=because[:255], run=run, decided_at=database_now())
    assert changed == 1, "The schedule is locked, so nobody else decides on its ticks."


def _words_of(living: list[UUID]) -> str:
    others = f" and {len(living) - 1} more" if len(living) > 1 else ""
    return f"The run {living[0]} of this schedule{others} still went on."


def _queued(schedule: Schedule) -> QuerySet[Tick]:
    return Tick.objects.filter(tenant=schedule.tenant, schedule=schedule, outcome=Outcome.QUEUED)


def _ids(query: str) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(query, {"most": limits.SCHEDULES_A_PASS})
        return [row[0] for row in cursor.fetchall()]
