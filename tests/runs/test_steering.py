"""Steering: cancel, pause, resume, terminate; each arrow, each refusal, each race."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runs import claims, effects, recovery, transitions, worker
from runs.claims import Held
from runs.declare import WORKFLOWS, Workflow
from runs.errors import AlreadyEnded, Fenced, SteeringRefused
from runs.models import Event, Step
from tests import zoo
from tests.harness import World, as_role
from tests.steered import cancel, kinds, pause, resume, terminate
from tests.turns import at_point
from tests.zoo import ledger

# Pause and resume


def test_a_paused_run_says_who_paused_it_and_why_and_goes_on_when_it_is_resumed(
    world: World,
) -> None:
    run = world.start("adding", numbers=[1, 2])
    assert pause(run)
    now = world.run_now(run)
    assert now.status == "paused"
    assert now.waiting_for == "somebody to resume it: bob paused it, because: The bank called."
    assert now.waiting_since is not None
    world.settle()
    assert ledger("add") == []
    assert resume(run, "carol")
    world.settle()
    assert world.result(run) == 3
    said = {e.kind: (e.actor, bytes(e.body)) for e in Event.objects.filter(run=run)}
    assert said["run.paused"] == ("bob", b'{"reason":"The bank called."}')
    assert said["run.resumed"][0] == "carol"


def test_a_running_run_is_paused_at_its_next_step(world: World) -> None:
    run = world.start("adding", numbers=[1, 2, 3])
    with at_point("committed:step.succeeded", lambda: pause(run)) as met:
        world.work()
    assert met
    now = world.run_now(run)
    assert now.status == "paused"
    assert now.waiting_for == "somebody to resume it: bob paused it, because: The bank called."
    # The step that was under way has ended; the hook is asked in the next one's commit.
    assert len(ledger("add")) == 2
    assert kinds(run)[-3:] == ["run.pause_requested", "step.succeeded", "run.paused"]
    resume(run)
    world.settle()
    assert world.result(run) == 6
    assert len(ledger("add")) == 3


def test_a_run_that_parks_while_it_is_to_be_paused_is_paused(world: World) -> None:
    run = world.start("registering", names=["a"])
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None
    assert pause(run)
    with as_role("placet_worker"):
        transitions.park(claim, awaited=None, waiting_for="something")
        assert worker.advance(run.id)
    assert world.run_now(run).status == "paused"


def test_a_pause_that_has_not_taken_effect_is_taken_back(world: World) -> None:
    run = world.start("adding", numbers=[1, 2, 3])

    def change_their_mind() -> None:
        pause(run)
        resume(run)

    with at_point("committed:step.succeeded", change_their_mind):
        world.settle()
    assert world.result(run) == 6
    assert "run.paused" not in kinds(run)


def test_a_pause_taken_back_just_before_the_worker_carries_it_out_loses_nothing(
    world: World,
) -> None:
    run = world.start("adding", numbers=[1, 2])
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None
    pause(run)
    resume(run)
    with as_role("placet_worker"):
        transitions.pause(claim)
    assert world.run_now(run).status == "ready"
    world.settle()
    assert world.result(run) == 3


def test_no_executor_starts_a_step_of_a_paused_run(world: World) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    pause(run)
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        assert effects.next_due() is None
        assert effects.execute(step.id) is False
    assert ledger("register-called") == []
    resume(run)
    world.settle()
    assert world.result(run) == [{"name": "a"}]


def test_executors_hear_at_once_that_a_run_is_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs import dispatch

    run = world.start("registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    pause(run)
    hinted: list[tuple[str, Any]] = []
    monkeypatch.setattr(dispatch, "hint", lambda queue, id: hinted.append((queue, id)))
    resume(run)
    assert hinted == [("runs", run.id), ("effects", step.id)]


def test_no_executor_starts_a_step_of_a_run_that_is_about_to_be_paused(world: World) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    with as_role("placet_worker"):
        transitions.wake(run.id)
        claim = claims.take_run(run.id)
        assert claim is not None
    pause(run)
    assert world.run_now(run).status == "running"
    with as_role("placet_executor"):
        assert effects.next_due() is None


def test_an_attempt_in_flight_ends_and_is_recorded_while_its_run_is_paused(world: World) -> None:
    run = world.start("registering", names=["a", "b"])
    world.work()
    first, _ = world.steps(run)
    with as_role("placet_executor"):
        fence = transitions.start_step(first.id, holder="executor", seconds=60).stepclaim.fence
    pause(run)
    with as_role("placet_executor"):
        outcome = transitions.Outcome(status="succeeded", event="step.succeeded", result=b"1")
        transitions.finish_attempt(Held("step", first.id, fence), outcome)
    world.settle()
    assert [step.status for step in world.steps(run)] == ["succeeded", "ready"]
    assert world.run_now(run).status == "paused"
    resume(run)
    world.settle()
    assert world.result(run) == [1, {"name": "b"}]


def test_a_timer_of_a_paused_run_does_not_fire_until_it_is_resumed(world: World) -> None:
    run = world.start("lingering", seconds=0.05)
    world.work()
    assert world.run_now(run).status == "waiting"
    pause(run)
    time.sleep(0.1)
    with as_role("placet_worker"):
        assert recovery.wake_due_runs() == 0
    world.settle()
    assert world.run_now(run).status == "paused"
    resume(run)
    world.settle()
    assert world.run_now(run).status == "succeeded"


def test_a_gate_of_a_paused_run_is_decided_and_the_payment_waits_for_the_resumption(
    world: World,
) -> None:
    run = world.park_at_gates(500)
    pause(run)
    world.approve_all(run)
    world.settle()
    (payment,) = [step for step in world.steps(run) if step.is_money]
    assert (payment.status, payment.clearance_id is None) == ("ready", False)
    assert ledger("pay-called") == []
    resume(run)
    world.settle()
    assert len(ledger("paid")) == 1
    assert world.run_now(run).status == "succeeded"


def test_a_fixed_workflow_resumes_a_quarantined_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("lingering", seconds=0.05)
    world.work()
    right = WORKFLOWS["lingering"]

    def changed(run: Any, *, seconds: float = 0.0, names: list[str]) -> Any:
        run.call(zoo.add, a=1, b=2)
        return run.sleep(seconds)

    wrong = Workflow(name="lingering", version=2, function=changed, input_model=right.input_model)
    monkeypatch.setitem(WORKFLOWS, "lingering", wrong)
    time.sleep(0.06)
    world.settle()
    assert world.run_now(run).status == "quarantined"
    resume(run)
    world.settle()
    assert world.run_now(run).status == "quarantined", "code and journal still disagree"
    monkeypatch.setitem(WORKFLOWS, "lingering", right)
    resume(run, "carol")
    world.settle()
    now = world.run_now(run)
    assert (now.status, now.error) == ("succeeded", None)
    assert kinds(run).count("run.quarantined") == 2


def test_a_resumed_run_that_waits_shows_no_error_of_its_quarantine(world: World) -> None:
    run = world.start("lingering", seconds=60.0)
    world.work()
    with as_role("placet_worker"):
        transitions.quarantine(run.id, {"kind": "Mismatch", "message": "They disagree."})
    resume(run)
    world.work()
    now = world.run_now(run)
    assert (now.status, now.error, now.waiting_for) == ("waiting", None, "its sleep to end")


# Cancel


def test_a_paused_run_can_be_cancelled(world: World) -> None:
    run = world.start("adding", numbers=[1])
    pause(run)
    assert cancel(run, reason="Not needed any more.")
    world.settle()
    assert world.run_now(run).status == "cancelled"
    assert ledger() == []
    asked = Event.objects.get(run=run, kind="run.cancel_requested")
    assert (asked.actor, bytes(asked.body)) == ("bob", b'{"reason":"Not needed any more."}')


def test_a_quarantined_run_can_be_cancelled(world: World) -> None:
    run = world.start("adding", numbers=[1])
    with as_role("placet_worker"):
        transitions.quarantine(run.id, {"kind": "Mismatch", "message": "They disagree."})
    assert cancel(run)
    world.settle()
    assert world.run_now(run).status == "cancelled"


def test_a_run_whose_own_step_is_paused_for_a_person_can_be_cancelled(world: World) -> None:
    (zoo.world_dir() / "add-fails").write_text("99")
    run = world.start("adding", numbers=[1])
    deadline = time.monotonic() + 10
    while not Step.objects.filter(run=run, status="paused") and time.monotonic() < deadline:
        world.settle()
    cancel(run)
    world.settle()
    (step,) = world.steps(run)
    assert (world.run_now(run).status, step.status) == ("cancelled", "cancelled")


def test_a_cancellation_can_be_paused_and_goes_on_when_it_is_resumed(world: World) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        fence = transitions.start_step(step.id, holder="executor", seconds=60).stepclaim.fence
    cancel(run)
    world.work()
    pause(run)
    with pytest.raises(SteeringRefused, match="once somebody resumes it, it goes on with that"):
        cancel(run)
    with as_role("placet_executor"):
        outcome = transitions.Outcome(status="succeeded", event="step.succeeded", result=b"1")
        transitions.finish_attempt(Held("step", step.id, fence), outcome)
    world.settle()
    assert world.run_now(run).status == "paused"
    resume(run)
    world.settle()
    assert world.run_now(run).status == "cancelled"


def test_a_cancellation_that_was_accepted_is_carried_out_although_the_work_was_done(
    world: World,
) -> None:
    """Asked for between the last step and the end: it was promised, so it happens."""
    run = world.start("echoing", value=1)
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None
    cancel(run)
    with as_role("placet_worker"):
        from runs.leaving import Steered

        with pytest.raises(Steered):
            transitions.finish_run(claim, "succeeded", result=b"1")
        assert world.run_now(run).status == "running"
        assert not Event.objects.filter(run=run, kind="run.succeeded").exists()
        worker._slice(claim)
    assert world.run_now(run).status == "cancelled"


# Terminate


def test_a_terminated_run_ends_at_once_and_what_is_in_flight_is_still_recorded(
    world: World,
) -> None:
    run = world.start("registering", names=["a", "b"])
    world.work()
    first, _ = world.steps(run)
    with as_role("placet_executor"):
        fence = transitions.start_step(first.id, holder="executor", seconds=60).stepclaim.fence
    assert terminate(run)
    world.work()
    now = world.run_now(run)
    assert now.status == "cancelled"
    assert now.error == {"kind": "Terminated", "message": "bob terminated it: The bank called."}
    assert [step.status for step in world.steps(run)] == ["running", "cancelled"]
    with as_role("placet_executor"):
        outcome = transitions.Outcome(status="succeeded", event="step.succeeded", result=b"1")
        transitions.finish_attempt(Held("step", first.id, fence), outcome)
    world.settle()
    assert [step.status for step in world.steps(run)] == ["succeeded", "cancelled"]
    assert kinds(run)[-1] == "step.succeeded"
    assert world.run_now(run).status == "cancelled"


def test_what_was_begun_is_brought_to_an_end_after_its_run_was_terminated(world: World) -> None:
    """A step between two attempts may have had its effect; it goes on under its key."""
    run = world.start("registering", names=["a", "b"])
    (zoo.world_dir() / "register-drops").write_text("1")
    world.work()
    first, _ = world.steps(run)
    with as_role("placet_executor"):
        assert effects.execute(first.id)
    terminate(run)
    world.work()
    assert [step.status for step in world.steps(run)] == ["ready", "cancelled"]
    time.sleep(0.05)
    world.settle()
    assert [step.status for step in world.steps(run)] == ["succeeded", "cancelled"]
    assert len(ledger("registered")) == 1


def test_a_step_in_doubt_stays_in_doubt_after_its_run_was_terminated(world: World) -> None:
    from runs import settlements

    (zoo.world_dir() / "launch-drops").write_text("1")
    run = world.start("launching", name="x")
    world.settle()
    terminate(run)
    world.settle()
    (step,) = world.steps(run)
    assert (world.run_now(run).status, step.status) == ("cancelled", "in_doubt")
    with as_role("placet_web"):
        settlements.settle(
            step=step, person=world.bob, answer="did_not_happen", reason="Asked them."
        )
    world.settle()
    assert Step.objects.get(pk=step.pk).status == "cancelled"
    assert len(ledger("launched")) == 1


def test_a_payment_at_its_gate_is_withdrawn_when_its_run_is_terminated(world: World) -> None:
    run = world.park_at_gates(500)
    terminate(run)
    world.settle()
    (gate,) = world.gates(run)
    assert (world.run_now(run).status, gate.status) == ("cancelled", "withdrawn")


def test_a_payment_that_was_cleared_is_not_made_once_its_run_is_to_be_terminated(
    world: World,
) -> None:
    run = world.park_at_gates(500)
    world.approve_all(run)
    world.keep_gates()
    terminate(run)
    world.execute()
    world.settle()
    assert ledger("pay-called") == []
    assert world.run_now(run).status == "cancelled"


def test_a_run_whose_step_hangs_is_terminated_by_another_worker(world: World) -> None:
    run = world.start("adding", numbers=[1, 2])
    with as_role("placet_worker"):
        hanging = claims.take_run(run.id)
        assert hanging is not None
        assert claims.take_run(run.id) is None
    terminate(run)
    with as_role("placet_worker"):
        assert worker.advance(run.id)
        assert world.run_now(run).status == "cancelled"
        with pytest.raises(Fenced):
            transitions.finish_run(hanging, "succeeded", result=b"1")


def test_the_sweep_finds_a_run_that_is_to_be_terminated_though_it_is_claimed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs import dispatch

    run = world.start("adding", numbers=[1])
    with as_role("placet_worker"):
        assert claims.take_run(run.id) is not None
    terminate(run)
    hinted: list[tuple[str, Any]] = []
    monkeypatch.setattr(dispatch, "hint", lambda queue, id: hinted.append((queue, id)))
    with as_role("placet_worker"):
        assert recovery.hint_lost_runs() == 1
    assert hinted == [("runs", run.id)]


def test_a_paused_run_can_be_terminated(world: World) -> None:
    run = world.start("adding", numbers=[1])
    pause(run)
    terminate(run)
    world.settle()
    assert world.run_now(run).status == "cancelled"


# Refusals


def test_steering_twice_says_so(world: World) -> None:
    run = world.start("adding", numbers=[1])
    assert [pause(run), pause(run)] == [True, False]
    assert [cancel(run), cancel(run)] == [True, False]
    assert [terminate(run), terminate(run), cancel(run)] == [True, False, False]
    assert kinds(run) == [
        *("run.started", "run.paused", "run.cancel_requested", "run.terminate_requested")
    ]


@pytest.mark.parametrize("verb", [cancel, pause, resume, terminate])
def test_a_run_that_has_ended_refuses_to_be_steered(world: World, verb: Any) -> None:
    run = world.start("adding", numbers=[1])
    world.settle()
    with pytest.raises(AlreadyEnded, match="has already succeeded, so there is nothing to"):
        verb(run)


def test_what_is_no_reason_is_refused(world: World) -> None:
    run = world.start("adding", numbers=[1])
    for verb in (pause, terminate):
        for reason, why in (
            ("  ", "a reason is needed"),
            ("x" * 1001, "at most 1000"),
            ("\0", "NUL"),
        ):
            with pytest.raises(SteeringRefused, match=why):
                verb(run, reason=reason)
    assert kinds(run) == ["run.started"]


def test_what_cannot_be_steered_so_refuses_in_a_sentence(world: World) -> None:
    run = world.start("adding", numbers=[1])
    with pytest.raises(SteeringRefused, match="The run is ready, so there is nothing to resume"):
        resume(run)
    with as_role("placet_worker"):
        transitions.quarantine(run.id, {"kind": "Mismatch", "message": "They disagree."})
    with pytest.raises(SteeringRefused, match="quarantined, so nothing of it goes on"):
        pause(run)
    terminate(run)
    with pytest.raises(SteeringRefused, match="is being terminated"):
        pause(run)
