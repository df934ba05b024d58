"""Runs of a schedule that people ask for: for times that are over, or for now."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from runs import limits
from runs.clock import database_now
from runs.errors import ScheduleRefused
from runs.models import Run, Schedule, Tick
from runs.points import reach
from runs.schedules import births
from runs.schedules.reads import living_runs, rhythm_of
from runs.schedules.verbs import locked

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def count_backfill(*, schedule: Schedule, since: datetime, until: datetime) -> int:
    """How many runs `backfill` would start for these times; raises what it would raise."""
    return len(_missing(schedule, since, until))


def backfill(*, schedule: Schedule, person: Any, since: datetime, until: datetime) -> int:
    """Queues a run for each time from `since` to `until` (both included, none of them in the
    future) for which none was started or queued; returns how many.

    Where overlap is not `allow` they start one after the other, the oldest first, and after
    the ticks of now. They are requested in the name of the schedule's owner, so only the owner
    may ask: `person` must be it. Raises `ScheduleRefused`; then nothing is queued.
    """
    with locked(schedule) as now:
        if person.pk != now.owner_id:
            raise ScheduleRefused(
                "The runs of a backfill are requested in the name of the schedule's owner, so"
                " only the owner may ask for them. Whoever changes a schedule becomes its owner."
            )
        missing = _missing(now, since, until)
        queued = Tick.objects.filter(
            tenant=now.tenant, schedule=now, outcome=Tick.Outcome.QUEUED, is_backfill=True
        ).count()
        if queued + len(missing) > limits.MAX_BACKFILL:
            raise ScheduleRefused(
                f"{queued} ticks of a backfill are queued already; with these there would be"
                f" more than {limits.MAX_BACKFILL}."
            )
        _queue(now, missing, f"{person.get_username()} asked for it afterwards."[:255])
    return len(missing)


def trigger_now(*, schedule: Schedule, person: Any) -> Run:
    """Starts a run of a schedule now, requested in the name of the person who asks; also of one
    that is paused.

    While a run of it goes on it is refused, unless overlap is `allow`. Raises
    `ScheduleRefused`; then nothing has started.
    """
    with locked(schedule) as now:
        because = births.refusal(now)
        living = [] if now.overlap == Schedule.Overlap.ALLOW else living_runs(now)
        if living:
            because = f"The run {living[0]} of this schedule still goes on."
        if because:
            raise ScheduleRefused(because)
        at = database_now()
        actor = person.get_username()
        run = births.start(now, at, requested_by_id=person.pk, actor=actor)
        Tick.objects.create(
            tenant=now.tenant,
            schedule=now,
            at=at,
            starts_at=at,
            outcome=Tick.Outcome.STARTED,
            because=f"{actor} asked for it."[:255],
            run=run,
        )
    reach("committed:schedule.triggered")
    return run


def _queue(schedule: Schedule, times: list[datetime], because: str) -> None:
    """Ticks that did not start get another chance; all others get their row."""
    values = {"outcome": Tick.Outcome.QUEUED, "because": because, "is_backfill": True}
    mine = Tick.objects.filter(tenant=schedule.tenant, schedule=schedule, at__in=times)
    known = set(mine.values_list("at", flat=True))
    mine.update(starts_at=F("at"), decided_at=Now(), **values)
    Tick.objects.bulk_create(
        Tick(tenant=schedule.tenant, schedule=schedule, at=at, starts_at=at, **values)
        for at in times
        if at not in known
    )


def _missing(schedule: Schedule, since: datetime, until: datetime) -> list[datetime]:
    if since.tzinfo is None or until.tzinfo is None:
        raise ScheduleRefused("The times of a backfill name their time zone.")
    if not EARLIEST <= since <= until:
        raise ScheduleRefused("A backfill goes from a time since 1970 to one that is not earlier.")
    if until > database_now():
        raise ScheduleRefused("A backfill is for times that are over.")
    ticks = rhythm_of(schedule).between(since, until)
    wanted = list(islice(ticks, limits.MAX_BACKFILL + 1))
    if len(wanted) > limits.MAX_BACKFILL:
        raise ScheduleRefused(
            f"These are more than {limits.MAX_BACKFILL} times; ask for fewer at once."
        )
    ticks_of_it = Tick.objects.filter(tenant=schedule.tenant, schedule=schedule, at__in=wanted)
    is_run = ticks_of_it.filter(outcome__in=[Tick.Outcome.STARTED, Tick.Outcome.QUEUED])
    known = set(is_run.values_list("at", flat=True))
    return [at for at in wanted if at not in known and not _is_due(schedule, at)]


def _is_due(schedule: Schedule, at: datetime) -> bool:
    """Whether the sweep is just about to decide on this time."""
    return schedule.next_at is not None and at >= schedule.next_at
