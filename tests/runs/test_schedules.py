"""Schedules: one run for each time at most, whatever happens, and a word for every other time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.utils import DatabaseError

from console.models import User
from runs import limits, points, schedules
from runs.errors import InvalidInput, ScheduleRefused, UnknownWorkflow
from runs.models import Run, Schedule, Tick
from tests.harness import World, admin, as_role

HOUR = timedelta(hours=1)


def make(world: World, **changed: Any) -> Schedule:
    given: dict[str, Any] = {
        "tenant": world.tenant,
        "name": "hourly",
        "workflow": "listening",
        "input": {"signals": ["go"]},
        "owner": world.alice,
        "interval_seconds": 3600,
        "catch_up_seconds": 7200,
    }
    with as_role("placet_web"):
        return schedules.create_schedule(**(given | changed))


def due(schedule: Schedule, ago: timedelta = timedelta(seconds=1)) -> datetime:
    """Has the next tick of a schedule come so long ago."""
    at = datetime.now(UTC).replace(microsecond=0) - ago
    with admin() as superuser:
        superuser.execute(
            "UPDATE runs_schedule SET next_at = %s, begins_at = %s WHERE id = %s",
            [at, at - 24 * HOUR, schedule.id],
        )
    return at


def fire(world: World) -> int:
    with as_role("placet_worker"):
        return schedules.fire_due_schedules()


def ticks(schedule: Schedule) -> list[str]:
    found = Tick.objects.filter(tenant=schedule.tenant, schedule=schedule).order_by("at")
    return [tick.outcome for tick in found]


def end_all(world: World) -> None:
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE runs_run SET status = 'succeeded', finished_at = now()")


def test_a_tick_that_is_due_starts_one_run_in_the_name_of_the_owner(world: World) -> None:
    schedule = make(world)
    at = due(schedule)
    assert fire(world) == 1
    run = Run.objects.get(schedule=schedule)
    assert (run.scheduled_for, run.requested_by_id, run.tenant) == (
        at,
        world.alice.id,
        world.tenant,
    )
    assert ticks(schedule) == ["started"]
    assert Schedule.objects.get(pk=schedule.pk).next_at == at + HOUR
    assert fire(world) == 0
    assert Run.objects.filter(schedule=schedule).count() == 1


def test_a_schedule_that_is_not_due_or_paused_or_deleted_starts_nothing(world: World) -> None:
    early, paused, gone = (make(world, name=name) for name in ("early", "paused", "gone"))
    due(paused)
    due(gone)
    with as_role("placet_web"):
        assert schedules.pause_schedule(schedule=paused, reason="a holiday")
        assert not schedules.pause_schedule(schedule=paused, reason="again")
        assert schedules.delete_schedule(schedule=gone)
    assert fire(world) == 0
    assert not Run.objects.exists()
    with as_role("placet_web"):
        assert schedules.resume_schedule(schedule=paused)
        make(world, name="gone")
    assert Schedule.objects.get(pk=paused.pk).next_at > datetime.now(UTC)
    assert early.next_at > datetime.now(UTC)


def test_two_sweeps_at_once_start_one_run(world: World) -> None:
    schedule = make(world, overlap="allow", interval_seconds=60)
    due(schedule, timedelta(minutes=5))
    barrier = threading.Barrier(3)

    def sweep() -> None:
        barrier.wait()
        try:
            for _ in range(3):
                schedules.fire_due_schedules()
        finally:
            connection.close()

    with as_role("placet_worker"):
        threads = [threading.Thread(target=sweep) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = list(Run.objects.filter(schedule=schedule).values_list("scheduled_for", flat=True))
    assert len(found) == len(set(found)) == 6
    assert ticks(schedule) == ["started"] * 6


@pytest.mark.parametrize(
    "point",
    ["schedule.written", "schedule.started", "schedule.decided", "committed:schedule.fired"],
)
def test_a_worker_that_dies_while_it_fires_starts_one_run(world: World, point: str) -> None:
    schedule = make(world)
    due(schedule)

    def dies(reached: str) -> None:
        if reached == point:
            raise KeyboardInterrupt

    points.observer = dies
    try:
        with pytest.raises(KeyboardInterrupt):
            fire(world)
    finally:
        points.observer = None
        connection.close()
    assert Run.objects.filter(schedule=schedule).count() == (point.startswith("committed"))
    fire(world)
    assert Run.objects.filter(schedule=schedule).count() == 1
    assert ticks(schedule) == ["started"]


@pytest.mark.parametrize(
    ("overlap", "outcomes", "runs"),
    [
        ("skip", ["started", "skipped"], 1),
        ("queue", ["started", "queued"], 1),
        ("cancel", ["started", "queued"], 1),
        ("allow", ["started", "started"], 2),
    ],
)
def test_what_becomes_of_a_tick_while_a_run_goes_on(
    world: World, overlap: str, outcomes: list[str], runs: int
) -> None:
    schedule = make(world, overlap=overlap)
    due(schedule, HOUR / 2)
    fire(world)
    due(schedule)
    fire(world)
    assert ticks(schedule) == outcomes
    assert Run.objects.filter(schedule=schedule).count() == runs
    first = Run.objects.filter(schedule=schedule).order_by("scheduled_for")[0]
    assert (first.cancel_requested_at is not None) == (overlap == "cancel")
    world.settle()
    if overlap == "queue":
        end_all(world)
    fire(world)
    started = 2 if overlap in ("queue", "cancel", "allow") else 1
    assert Run.objects.filter(schedule=schedule).count() == started
    waiting = Tick.objects.filter(schedule=schedule).exclude(outcome="started")
    assert all("still went on" in tick.because for tick in waiting)


def test_ticks_within_the_window_are_caught_up_and_older_ones_are_said_to_be_missed(
    world: World,
) -> None:
    schedule = make(world, overlap="allow", catch_up_seconds=2 * 3600 + 60)
    due(schedule, timedelta(hours=5))
    fire(world)
    assert ticks(schedule) == ["missed", "started", "started", "started"]
    missed = Tick.objects.get(schedule=schedule, outcome="missed")
    assert missed.because.startswith("3 ticks were missed up to ")


def test_where_the_new_one_takes_the_place_of_the_old_only_the_newest_is_started(
    world: World,
) -> None:
    schedule = make(world, overlap="cancel")
    due(schedule, HOUR)
    fire(world)
    assert ticks(schedule) == ["skipped", "started"]


def test_a_tick_that_cannot_start_says_why(world: World) -> None:
    schedule = make(world)
    due(schedule)
    with as_role("placet_owner"):
        User.objects.filter(pk=world.alice.pk).update(is_active=False)
    fire(world)
    tick = Tick.objects.get(schedule=schedule)
    assert (tick.outcome, tick.run) == ("refused", None)
    assert tick.because.startswith("The owner of the schedule is not active any more")
    assert not Run.objects.exists()


def test_a_backfill_is_counted_first_and_starts_what_was_not_run(world: World) -> None:
    schedule = make(world, overlap="allow")
    due(schedule, timedelta(minutes=1))
    fire(world)
    now = Schedule.objects.get(pk=schedule.pk)
    asked: dict[str, Any] = {
        "schedule": now,
        "since": datetime.now(UTC) - 4 * HOUR - timedelta(minutes=2),
        "until": datetime.now(UTC),
    }
    with as_role("placet_web"):
        assert schedules.count_backfill(**asked) == 4
        assert schedules.backfill(person=world.alice, **asked) == 4
        assert schedules.count_backfill(**asked) == 0
        with pytest.raises(ScheduleRefused, match="only the owner may ask"):
            schedules.backfill(person=world.bob, **asked)
        with pytest.raises(ScheduleRefused, match="for times that are over"):
            schedules.backfill(person=world.alice, **(asked | {"until": datetime.now(UTC) + HOUR}))
    fire(world)
    assert ticks(schedule) == ["started"] * 5


def test_a_backfill_has_a_limit(world: World) -> None:
    schedule = make(world, interval_seconds=60)
    due(schedule)
    now = Schedule.objects.get(pk=schedule.pk)
    until = now.next_at - timedelta(seconds=1)
    exactly = until - timedelta(minutes=limits.MAX_BACKFILL) + timedelta(seconds=2)
    with as_role("placet_web"):
        count = schedules.count_backfill(schedule=now, since=exactly, until=until)
        assert count <= limits.MAX_BACKFILL
        with pytest.raises(ScheduleRefused, match="more than 1000 times"):
            schedules.count_backfill(
                schedule=now, since=exactly - timedelta(minutes=2), until=until
            )


def test_a_run_can_be_asked_for_now_unless_one_goes_on(world: World) -> None:
    schedule = make(world)
    with as_role("placet_web"):
        run = schedules.trigger_now(schedule=schedule, person=world.bob)
        assert run.requested_by_id == world.bob.id
        with pytest.raises(ScheduleRefused, match="of this schedule still goes on"):
            schedules.trigger_now(schedule=schedule, person=world.bob)
    assert ticks(schedule) == ["started"]


def test_who_changes_a_schedule_becomes_its_owner(world: World) -> None:
    schedule = make(world)
    with as_role("placet_web"):
        changed = schedules.change_schedule(
            schedule=schedule, owner=world.bob, input={"signals": ["other"]}
        )
    assert (changed.owner_id, bytes(changed.input)) == (world.bob.id, b'{"signals":["other"]}')


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"name": ""}, ScheduleRefused, "1 to 128 characters"),
        ({"name": "x" * 129}, ScheduleRefused, "1 to 128 characters"),
        ({"workflow": "nothing"}, UnknownWorkflow, "no workflow called 'nothing'"),
        ({"input": {}}, InvalidInput, "'signals' is a required property"),
        ({"overlap": "maybe"}, ScheduleRefused, "it is one of skip, queue, cancel, allow"),
        ({"catch_up_seconds": 9}, ScheduleRefused, "catch_up_seconds is from 10"),
        ({"jitter_seconds": 86_401}, ScheduleRefused, "jitter_seconds is from 0 to 86400"),
        ({"interval_seconds": 0}, ScheduleRefused, ""),
        ({"cron": "61 * * * *", "interval_seconds": None}, ScheduleRefused, ""),
        ({"cron": "* * * * *"}, ScheduleRefused, ""),
        ({"time_zone": "Mars/Olympus"}, ScheduleRefused, "Mars/Olympus"),
    ],
)
def test_what_is_no_schedule_is_refused(
    world: World, changed: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as refused:
        make(world, **changed)
    assert said in str(refused.value)
    assert not Schedule.objects.exists()


def test_a_name_is_used_once(world: World) -> None:
    make(world)
    with pytest.raises(ScheduleRefused, match="There is a schedule called 'hourly' already"):
        make(world)


def test_a_worker_starts_no_run_of_a_schedule_for_somebody_else_or_with_another_input(
    world: World,
) -> None:
    schedule = make(world)
    values: dict[str, Any] = {
        "tenant": world.tenant,
        "workflow": "listening",
        "version": 1,
        "input": bytes(schedule.input),
        "requested_by": world.alice,
        "seed": b"x" * 16,
        "schedule": schedule,
        "scheduled_for": datetime.now(UTC),
    }
    for forged in (
        {"requested_by": world.bob},
        {"input": b'{"signals":["x"]}'},
        {"workflow": "adding"},
    ):
        with as_role("placet_worker"), pytest.raises(DatabaseError, match="run birth"):
            Run.objects.create(**(values | forged))
