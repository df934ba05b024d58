"""Reading schedules: what there is, what became of its ticks, and what comes next."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from runs import limits
from runs.clock import database_now
from runs.errors import ScheduleRefused, UnknownSchedule
from runs.models import Schedule, Tick
from runs.schedules.times import Rhythm

# Runs of a schedule that go on, the newest first: those that it started, and what the newest
# of them goes on as. Only one that may overlap has more than one, or a backfill beside it.
LIVING = """
    SELECT id FROM runs_run r WHERE r.schedule_id = {schedule} AND r.finished_at IS NULL
    UNION
    (WITH RECURSIVE line AS (
        (SELECT id, finished_at FROM runs_run
         WHERE tenant = {tenant} AND schedule_id = {schedule}
         ORDER BY scheduled_for DESC LIMIT 1)
        UNION ALL
        SELECT n.id, n.finished_at FROM runs_run n JOIN line ON n.continued_from_id = line.id)
     SELECT id FROM line WHERE finished_at IS NULL)
"""


def list_schedules(tenant: str) -> QuerySet[Schedule]:
    """The schedules of a tenant by name, without those that were deleted."""
    return Schedule.objects.filter(tenant=tenant, ended_at=None).order_by("name")


def get_schedule(*, tenant: str, id: UUID | None = None, name: str = "") -> Schedule:
    """The schedule of that id (also one that was deleted), or of that name.

    Raises `UnknownSchedule`.
    """
    mine = Schedule.objects.filter(tenant=tenant)
    found = mine.filter(id=id) if id is not None else mine.filter(name=name, ended_at=None)
    schedule = found.first()
    if schedule is None:
        raise UnknownSchedule(f"There is no schedule {str(id or name)[:128]!r}.")
    return schedule


def recent_ticks(schedule: Schedule, *, limit: int = 50) -> QuerySet[Tick]:
    """What became of the newest ticks that were decided on, the newest first."""
    ticks = Tick.objects.filter(tenant=schedule.tenant, schedule=schedule)
    return ticks.select_related("run").order_by("-at")[:limit]


def next_times(schedule: Schedule, n: int = 5) -> list[datetime]:
    """The next `n` times of a schedule after now, in UTC, before jitter; also of one that is
    paused. Raises `ScheduleRefused` for more than `limits.MAX_NEXT_TIMES`."""
    if not 0 <= n <= limits.MAX_NEXT_TIMES:
        raise ScheduleRefused(f"At most {limits.MAX_NEXT_TIMES} times are told in advance.")
    return list(islice(rhythm_of(schedule).after(database_now()), n))


def rhythm_of(schedule: Schedule) -> Rhythm:
    """When the ticks of a schedule are."""
    return Rhythm(
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        interval_seconds=schedule.interval_seconds,
        begins_at=schedule.begins_at,
    )


def living_runs(schedule: Schedule) -> list[UUID]:
    """The runs of a schedule that go on, and what they go on as."""
    with connection.cursor() as cursor:
        cursor.execute(
            LIVING.format(schedule="%(schedule)s", tenant="%(tenant)s"),
            {"schedule": schedule.id, "tenant": schedule.tenant},
        )
        return [row[0] for row in cursor.fetchall()]
