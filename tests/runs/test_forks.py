"""Forks: outcomes are copied once, leave never is, and effects after the point are new."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from approvals.models import Clearance, Decision, Gate
from runs import canonical, forks, settlements, steering, worker
from runs.errors import ForkRefused, InvalidInput
from runs.models import Event, Run, Step
from tests import zoo
from tests.harness import World, as_role
from tests.turns import end_claims, killed_at
from tests.zoo import ledger


def fork(world: World, run: Run, at: int, **more: Any) -> Run:
    with as_role("placet_web"):
        return forks.fork(run=run, at=at, requested_by=world.erin, **more)


def switch(name: str, times: int) -> None:
    (zoo.world_dir() / name).write_text(str(times))


def paid_everything(world: World) -> Run:
    run = world.start("everything", amount_minor=5000)
    while world.run_now(run).finished_at is None:
        world.settle()
        for gate in world.gates(run):
            if gate.status == "open":
                world.decide(gate, world.bob)
        time.sleep(0.02)
    assert world.run_now(run).status == "succeeded"
    return run


def rows_of(run: Run) -> list[Any]:
    return [
        list(Step.objects.filter(run=run).order_by("position").values()),
        list(Event.objects.filter(run=run).order_by("seq").values()),
    ]


def test_a_fork_takes_over_what_had_ended_and_goes_on_from_there(world: World) -> None:
    run = world.start("lingering", names=["a", "b"])
    world.settle()
    before = rows_of(run)
    made = fork(world, run, 3)
    world.settle()
    # Steps 0 to 2 are copied: one addition, the sleep, the first registration.
    assert [e["a"] for e in ledger("add")] == [1, 2, 2]
    assert [e["name"] for e in ledger("registered")] == ["a", "b", "b"]
    assert rows_of(run) == before, "the old run is untouched"
    now = world.run_now(made)
    assert (now.status, now.forked_from_id, now.forked_at) == ("succeeded", run.pk, 3)
    assert list(world.run_now(run).forks.all()) == [now]
    assert now.requested_by_id == world.erin.pk


def test_what_a_fork_draws_is_what_the_old_run_drew(world: World) -> None:
    run = world.start("lingering")
    world.settle()
    made = fork(world, run, 1)
    world.settle()
    assert world.result(made) == world.result(run)


def test_what_is_copied_is_equal_but_local_and_says_where_it_is_from(world: World) -> None:
    run = paid_everything(world)
    made = fork(world, run, 5)
    world.settle()
    old, new = world.steps(run), world.steps(made)
    assert len(old) == len(new) == 5
    same = ("position", "kind", "name", "status", "arguments", "digest", "result", "error")
    for one, other in zip(old, new, strict=True):
        for field in same:
            assert getattr(one, field) == getattr(other, field), (one.position, field)
        assert other.copied_from == one.pk
        assert (other.is_remote, other.is_money, other.effect) == (False, False, "safe")
        assert other.key != one.key
    assert world.result(made) == world.result(run)
    assert len(ledger("paid")) == 1


def test_no_consent_is_copied_and_a_payment_after_the_point_has_its_own_gate_and_key(
    world: World,
) -> None:
    run = paid_everything(world)
    made = fork(world, run, 4)
    world.settle()
    payment = Step.objects.get(run=made, is_money=True)
    assert (payment.status, payment.clearance_id) == ("held", None)
    assert Gate.objects.filter(run=made).count() == 1
    assert Decision.objects.filter(gate__run=made).count() == 0
    assert Clearance.objects.count() == 1
    assert len(ledger("paid")) == 1
    world.approve_all(made)
    world.settle()
    assert world.run_now(made).status == "succeeded"
    keys = {entry["key"] for entry in ledger("paid")}
    assert len(keys) == len(ledger("paid")) == 2


def test_a_fork_at_the_beginning_copies_nothing(world: World) -> None:
    run = world.start("adding", numbers=[1, 2])
    world.settle()
    made = fork(world, run, 0)
    world.settle()
    assert len(ledger("add")) == 4
    assert not Step.objects.filter(run=made, copied_from__isnull=False).exists()


def test_a_failed_run_is_forked_at_the_step_that_failed(world: World) -> None:
    switch("add-fails", 99)
    run = world.start("lingering")
    settle_until(world, run, "failed", "paused", "waiting")
    made = fork(world, run, 0)
    switch("add-fails", 0)
    settle_until(world, made, "succeeded")


def settle_until(world: World, run: Run, *statuses: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        world.settle()
        if world.run_now(run).status in statuses:
            return
        time.sleep(0.02)
    raise AssertionError(f"The run is {world.run_now(run).status}.")


def test_a_fork_may_have_another_input(world: World) -> None:
    run = world.start("adding", numbers=[1, 2])
    world.settle()
    made = fork(world, run, 1, input={"numbers": [1, 5]})
    world.settle()
    assert world.result(made) == 6
    other = fork(world, run, 1, input={"numbers": [3, 5]})
    world.settle()
    assert world.run_now(other).status == "quarantined", "its first step was another one"


def test_an_input_that_does_not_fit_forks_nothing(world: World) -> None:
    run = world.start("adding", numbers=[1])
    world.settle()
    with pytest.raises(InvalidInput):
        fork(world, run, 0, input={"numbers": "1"})
    assert Run.objects.count() == 1


def test_the_outcome_of_a_replacement_stands_for_the_step_that_it_replaced(world: World) -> None:
    run = world.start("many_registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    pause_step(step)
    with as_role("placet_web"):
        settlements.settle(
            step=Step.objects.get(pk=step.pk),
            person=world.bob,
            answer="retry_with",
            reason="A typing error.",
            result={"name": "b"},
        )
    settle_until(world, run, "succeeded")
    (first, last) = world.steps(run)
    assert (first.status, last.position, last.status) == ("cancelled", 10_000, "succeeded")
    made = fork(world, run, 1)
    world.settle()
    (copied,) = world.steps(made)
    assert (copied.position, bytes(copied.arguments)) == (0, bytes(first.arguments))
    assert (copied.status, copied.copied_from) == ("succeeded", last.pk)
    assert canonical.decode(copied.result or b"") == {"name": "b"}
    assert world.run_now(made).status == "succeeded"
    assert [entry["name"] for entry in ledger("registered")] == ["b"]


def pause_step(step: Step) -> None:
    """As if its attempts were spent, and nothing had happened."""
    from runs import transitions
    from runs.claims import Held

    with as_role("placet_executor"):
        fence = transitions.start_step(step.pk, holder="executor", seconds=60).stepclaim.fence
        error = {"kind": "RuntimeError", "message": "It did not work."}
        outcome = transitions.Outcome(status="paused", event="step.paused", error=error)
        transitions.finish_attempt(Held("step", step.pk, fence), outcome)


# Refusals


def test_a_position_that_is_not_there_is_refused(world: World) -> None:
    run = world.start("adding", numbers=[1, 2])
    world.settle()
    for at in (-1, 3, 10_000, 1_000_000):
        with pytest.raises(ForkRefused, match=f"no step {at}; it can be forked at 0 to 2"):
            fork(world, run, at)
    assert Run.objects.count() == 1


def test_steps_that_have_not_ended_refuse_the_fork(world: World) -> None:
    run = world.start("registering", names=["a", "b"])
    world.work()
    with pytest.raises(ForkRefused, match=r"Step 0 \(register\) is ready, so it has no outcome"):
        fork(world, run, 1)
    fork(world, run, 0)


def test_what_was_cancelled_has_no_outcome_to_copy(world: World) -> None:
    run = world.start("registering", names=["a", "b"])
    world.work()
    with as_role("placet_web"):
        steering.request_cancel(run=run, actor="bob")
    world.settle()
    with pytest.raises(ForkRefused, match=r"Step 0 \(register\) is cancelled"):
        fork(world, run, 1)


def test_what_was_undone_is_not_copied(world: World) -> None:
    run = world.start("travelling", places=["a", "b"], ends_well=False)
    settle_until(world, run, "failed")
    with pytest.raises(ForkRefused, match=r"have been undone, .* fork at 0 or before"):
        fork(world, run, 2)
    fork(world, run, 0)


def test_what_is_undone_before_it_is_copied_fails_the_fork_in_words(world: World) -> None:
    run = world.start("daring", places=["a", "b"])
    world.settle()
    made = fork(world, run, 2)
    with as_role("placet_web"):
        steering.request_cancel(run=run, actor="bob")
    with as_role("placet_worker"):
        worker.advance(run.pk)
    settle_until(world, made, "failed")
    now = world.run_now(made)
    assert now.error is not None and now.error["kind"] == "ForkRefused"
    assert "have been undone" in now.error["message"]
    assert world.steps(made) == []


def test_a_child_that_has_not_ended_refuses_the_fork(world: World) -> None:
    run = world.start("parenting", children=[{"workflow": "lingering", "input": {"seconds": 60.0}}])
    world.settle()
    with pytest.raises(ForkRefused, match=r"Step 0 \(lingering\) is waiting"):
        fork(world, run, 1)


def test_a_child_that_has_ended_is_not_started_again(world: World) -> None:
    run = world.start("parenting", children=[{"workflow": "adding", "input": {"numbers": [4]}}])
    world.settle()
    before = Run.objects.count()
    made = fork(world, run, 1)
    world.settle()
    assert world.result(made) == world.result(run) == [4]
    assert Run.objects.count() == before + 1


def test_a_fork_undoes_nothing_that_the_old_run_did(world: World) -> None:
    run = world.start("daring", places=["a", "b"])
    world.settle()
    made = fork(world, run, 1)
    world.settle()
    with as_role("placet_web"):
        steering.request_cancel(run=made, actor="bob")
    settle_until(world, made, "cancelled")
    assert [entry["place"] for entry in ledger("booked")] == ["a", "b", "b"]
    assert [entry["place"] for entry in ledger("unbooked")] == ["b"]
    assert world.run_now(run).status == "waiting"


# Killed in between


@pytest.mark.parametrize("point", ["committed:run.claimed", "committed:run.forked"])
def test_a_worker_killed_while_it_copies_copies_once(world: World, point: str) -> None:
    run = world.start("lingering", names=["a"])
    world.settle()
    made = fork(world, run, 3)
    assert killed_at(point, world.work)
    end_claims()
    with as_role("placet_worker"):
        worker.advance(made.pk)
    world.settle()
    assert world.run_now(made).status == "succeeded"
    assert Event.objects.filter(run=made, kind="run.forked").count() == 1
    assert Step.objects.filter(run=made, copied_from__isnull=False).count() == 3
    assert len(ledger("registered")) == 1


# Attacks by SQL, as the roles


def test_a_worker_cannot_fork_on_its_own(world: World) -> None:
    run = world.start("adding", numbers=[1])
    world.settle()
    from django.db import DatabaseError

    with as_role("placet_worker"):
        with pytest.raises(DatabaseError, match="a worker starts children, successors and ticks"):
            forks.fork(run=run, at=0, requested_by=world.alice)


@pytest.mark.parametrize("column", ["tenant", "workflow", "seed"])
def test_a_fork_of_another_tenant_or_workflow_is_refused_by_the_database(
    world: World, column: str
) -> None:
    """Else web could have the outcomes of one tenant copied into a run of another."""
    run = world.start("adding", numbers=[1])
    world.settle()
    values = {"tenant": "'another'", "workflow": "'echoing'", "seed": "'x'"}
    taken = {name: values[name] if name == column else name for name in values}
    with psycopg.connect(world.servers.database_url("placet_web")) as attacker:
        with pytest.raises(psycopg.Error, match="a fork is one of a run of the same tenant"):
            attacker.execute(
                "INSERT INTO runs_run (id, tenant, workflow, version, status, input,"
                " requested_by_id, seed, waiting_for, progress_done, progress_total,"
                " progress_note, cancel_requested_by, forked_from_id, forked_at)"
                f" SELECT gen_random_uuid(), {taken['tenant']}, {taken['workflow']}, version,"
                f" 'ready', input, requested_by_id, {taken['seed']}, '', 0, 0, '', '', id, 0"
                " FROM runs_run WHERE id = %s",
                [run.pk],
            )


def test_what_a_run_was_forked_from_cannot_be_changed(world: World) -> None:
    run = world.start("adding", numbers=[1])
    world.settle()
    made = fork(world, run, 0)
    with psycopg.connect(world.servers.database_url("placet_owner")) as owner:
        with pytest.raises(psycopg.Error, match="run identity"):
            owner.execute("UPDATE runs_run SET forked_at = 1 WHERE id = %s", [made.pk])
