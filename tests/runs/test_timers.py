"""Timers and deadlines: many at once, in line with everybody else, and said in words."""

from __future__ import annotations

import pytest

from runs import claims, limits, overdue, recovery
from runs.errors import InvalidInput
from runs.lifecycle import start_run
from runs.models import Run
from tests.harness import World, admin, as_role

MANY = 3_000


def many_timers(world: World) -> None:
    """So many runs whose time came an hour ago, of which nobody has heard yet."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            """
            INSERT INTO runs_run (id, tenant, workflow, version, status, input, requested_by_id,
                seed, waiting_for, wake_at, progress_done, progress_total, progress_note,
                cancel_requested_by)
            SELECT gen_random_uuid(), %s, 'adding', 1, 'waiting', '{"numbers":[]}', %s, 'x',
                'its sleep to end', now() - interval '1 hour', 0, 0, '', ''
            FROM generate_series(1, %s)
            """,
            [world.tenant, world.alice.id, MANY],
        )
        superuser.execute(
            "INSERT INTO runs_claim (run_id, tenant, fence, holder, last_seq)"
            " SELECT id, tenant, 0, '', 0 FROM runs_run"
        )


def ready() -> int:
    return Run.objects.filter(status="ready").count()


def test_thousands_of_timers_are_woken_in_parts_and_a_fresh_run_waits_for_one_part(
    world: World,
) -> None:
    many_timers(world)
    with as_role("placet_worker"):
        assert recovery.wake_due_runs() == limits.READY_AHEAD
        assert recovery.wake_due_runs() == 0
    fresh = world.start("adding", numbers=[1])
    with as_role("placet_worker"):
        recovery.wake_due_runs()
    line = list(
        Run.objects.filter(status="ready").order_by("ready_at", "id").values_list("id", flat=True)
    )
    assert line.index(fresh.id) <= limits.READY_AHEAD
    with as_role("placet_worker"):
        taken = claims.take_next()
    assert taken is not None and taken.id == line[0]


def test_all_of_them_are_worked_off(world: World) -> None:
    many_timers(world)
    rounds = 0
    while Run.objects.filter(status__in=("waiting", "ready")).exists():
        rounds += 1
        assert rounds < 50
        with as_role("placet_worker"):
            recovery.wake_due_runs()
        with admin() as superuser:
            superuser.execute("SET session_replication_role = replica")
            superuser.execute(
                "UPDATE runs_run SET status = 'succeeded', finished_at = now()"
                " WHERE status = 'ready'"
            )
    assert rounds == MANY // limits.READY_AHEAD


def start(world: World, seconds: int | None) -> Run:
    with as_role("placet_web"):
        run, _ = start_run(
            tenant=world.tenant,
            workflow="listening",
            input={"signals": ["go"]},
            requested_by=world.alice,
            deadline_seconds=seconds,
        )
    return run


def test_a_run_whose_deadline_passes_fails_in_words(world: World) -> None:
    run, other = start(world, 3600), start(world, None)
    world.settle()
    with as_role("placet_worker"):
        assert overdue.end_overdue_runs() == 0
    with admin() as superuser:
        superuser.execute(
            "UPDATE runs_run SET deadline_at = now() - interval '1 s' WHERE id = %s", [run.id]
        )
    with as_role("placet_worker"):
        assert overdue.end_overdue_runs() == 1
        assert overdue.end_overdue_runs() == 0
    world.settle()
    now = world.run_now(run)
    assert (now.status, now.error["kind"]) == ("failed", "DeadlineExceeded")
    assert now.error["message"].startswith("The run has failed: its deadline of ")
    assert world.run_now(other).status == "waiting"


@pytest.mark.parametrize("seconds", [0, limits.MAX_DEADLINE_SECONDS + 1])
def test_what_is_no_deadline_is_refused(world: World, seconds: int) -> None:
    with pytest.raises(InvalidInput):
        start(world, seconds)
    assert not Run.objects.exists()
