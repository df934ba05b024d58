"""The deadline of a run: it ends also what waits, what is paused, and what can be undone."""

from __future__ import annotations

from typing import Any

from runs import overdue
from runs.lifecycle import start_run
from runs.models import Event, Run, Step
from tests import steered
from tests.harness import World, admin, as_role
from tests.zoo import ledger


def start(world: World, workflow: str, **input: Any) -> Run:
    """A run that has an hour, worked on until it waits."""
    with as_role("placet_web"):
        run, _ = start_run(
            tenant=world.tenant,
            workflow=workflow,
            input=input,
            requested_by=world.alice,
            deadline_seconds=3600,
        )
    world.settle()
    return run


def pass_deadline(run: Run) -> int:
    """Its hour is over; returns for how many runs the sweep asked."""
    with admin() as superuser:
        superuser.execute(
            "UPDATE runs_run SET deadline_at = now() - interval '1 s' WHERE id = %s", [run.id]
        )
    with as_role("placet_worker"):
        return overdue.end_overdue_runs()


def told(world: World, run: Run) -> tuple[str, str]:
    now = world.run_now(run)
    return now.status, now.error["kind"]


def test_what_the_run_did_is_undone(world: World) -> None:
    run = start(world, "daring", places=["a", "b"])
    assert pass_deadline(run) == 1
    world.settle()
    world.settle()
    assert told(world, run) == ("failed", "DeadlineExceeded")
    assert [entry["place"] for entry in ledger("unbooked")] == ["b", "a"]


def test_a_paused_run_is_ended_as_well(world: World) -> None:
    run = start(world, "listening", signals=["go"])
    steered.pause(run)
    world.settle()
    assert world.run_now(run).status == "paused"
    assert pass_deadline(run) == 1
    world.settle()
    assert told(world, run) == ("failed", "DeadlineExceeded")


def test_a_step_in_flight_ends_first(world: World) -> None:
    run = start(world, "paying", amounts=[100])
    world.approve_all(run)
    world.keep_gates()
    step = Step.objects.get(run=run, name="pay")
    with admin() as superuser:
        # As an executor has it that is at work on it.
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE runs_step SET status = 'running', attempt = 1 WHERE id = %s", [step.id]
        )
    assert pass_deadline(run) == 1
    world.work()
    now = world.run_now(run)
    assert now.status == "waiting", "what has begun is not cut off, and its outcome is waited for"
    assert not Event.objects.filter(run=run, kind="run.failed").exists()


def test_a_payment_that_waits_at_its_gate_is_not_made_any_more(world: World) -> None:
    run = start(world, "paying", amounts=[100])
    assert pass_deadline(run) == 1
    world.settle()
    assert told(world, run) == ("failed", "DeadlineExceeded")
    assert Step.objects.get(run=run, name="pay").status == "cancelled"
    world.keep_gates()
    assert world.gates(run)[0].status == "withdrawn"
    assert ledger("paid") == []
