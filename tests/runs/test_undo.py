"""Undo: what a run did is taken back in reverse, once, and never in silence."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from runs import (
    canonical,
    claims,
    effects,
    positions,
    recovery,
    settlements,
    steering,
    worker,
)
from runs.claims import Held
from runs.models import Event, Run, Step
from tests import zoo
from tests.harness import World, admin, as_role
from tests.turns import end_claims, killed_after
from tests.zoo import ledger

WHY = "The bank called."


def switch(name: str, times: int) -> None:
    (zoo.world_dir() / name).write_text(str(times))


def rest(world: World, run: Run) -> Run:
    """Plays all processes until the run has ended or waits for a person; retries are near."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        world.settle()
        now = world.run_now(run)
        steps = Step.objects.filter(run=run, status__in=("in_doubt", "paused", "held"))
        if now.finished_at or now.status in ("paused", "quarantined") or steps.exists():
            return now
        time.sleep(0.02)
    raise AssertionError(f"The run did not come to rest: {world.run_now(run).waiting_for}")


def cancel(run: Run) -> None:
    with as_role("placet_web"):
        steering.request_cancel(run=run, actor="bob")


def resume(run: Run) -> None:
    with as_role("placet_web"):
        steering.resume(run=run, actor="bob")


def say(world: World, step: Step, person: Any, answer: str, **more: Any) -> None:
    with as_role("placet_web"):
        settlements.settle(step=step, person=person, answer=answer, reason="Asked them.", **more)


def undo_steps(run: Run) -> list[Step]:
    return list(Step.objects.filter(run=run, position__gte=positions.UNDO).order_by("position"))


def last_body(run: Run) -> Any:
    return canonical.decode(Event.objects.filter(run=run).latest("seq").body)


def places(kind: str) -> list[str]:
    return [entry["place"] for entry in ledger(kind)]


def test_a_run_that_fails_undoes_what_it_did_in_reverse(world: World) -> None:
    run = world.start("travelling", places=["a", "b", "c"], ends_well=False)
    now = rest(world, run)
    assert (now.status, now.error) == (
        "failed",
        {"kind": "RuntimeError", "message": "nobody wants to travel"},
    )
    assert places("booked") == ["a", "b", "c"]
    assert places("unbooked") == ["c", "b", "a"]
    assert [step.position for step in undo_steps(run)] == [1_000_000, 1_000_002, 1_000_004]
    summary = last_body(run)["undo"]
    assert (summary["count"], summary["not_undone"]) == (3, [])
    assert summary["undone"][0] == {"position": 4, "name": "book", "by": "unbook"}
    # The undo knows the key of what it takes back, and has one of its own.
    originals = {entry["place"]: entry["key"] for entry in ledger("booked")}
    for entry in ledger("unbooked"):
        assert entry["original"] == originals[entry["place"]] != entry["key"]


def test_the_workflow_is_not_run_again_while_its_run_is_undone(world: World) -> None:
    run = world.start("travelling", places=["a", "b"], ends_well=False)
    rest(world, run)
    kinds = [e.kind for e in Event.objects.filter(run=run).order_by("seq")]
    after = kinds[kinds.index("run.undoing") :]
    assert set(after) == {
        *("run.undoing", "run.waiting", "step.ready", "step.started", "step.succeeded"),
        "run.failed",
    }
    assert [entry["a"] for entry in ledger("add")] == [0, 1]


def test_a_run_that_succeeds_undoes_nothing(world: World) -> None:
    run = world.start("travelling", places=["a", "b"])
    assert rest(world, run).status == "succeeded"
    assert ledger("unbook-called") == []


def test_a_cancelled_run_undoes_what_it_did(world: World) -> None:
    run = world.start("daring", places=["a", "b"])
    world.settle()
    assert world.run_now(run).status == "waiting"
    cancel(run)
    now = rest(world, run)
    assert (now.status, now.error) == ("cancelled", None)
    assert places("unbooked") == ["b", "a"]
    assert Step.objects.get(run=run, kind="signal").status == "cancelled"


def test_many_works_of_one_gather_are_undone_one_after_the_other(world: World) -> None:
    names = [f"place {number}" for number in range(12)]
    run = world.start("touring", places=names)
    assert rest(world, run).status == "failed"
    assert places("unbooked") == names[::-1]
    started = [
        (event.position, event.kind)
        for event in Event.objects.filter(run=run, position__gte=positions.UNDO).order_by("seq")
        if event.kind in ("step.started", "step.succeeded")
    ]
    assert [kind for _, kind in started] == ["step.started", "step.succeeded"] * 12


def test_of_a_gather_only_what_succeeded_is_undone(world: World) -> None:
    switch("book-refuses", 1)
    run = world.start("touring", places=["a", "b", "c"])
    assert rest(world, run).status == "failed"
    assert sorted(places("booked")) == sorted(places("unbooked"))
    assert len(places("unbooked")) == 2


def test_an_undo_is_retried_under_its_key(world: World) -> None:
    switch("unbook-fails", 1)
    run = world.start("travelling", places=["a"], ends_well=False)
    assert rest(world, run).status == "failed"
    assert [entry["attempt"] for entry in ledger("unbook-called")] == [1, 2]
    assert len({entry["key"] for entry in ledger("unbook-called")}) == 1
    assert places("unbooked") == ["a"]


# What is in flight


def test_a_step_in_doubt_is_settled_by_people_before_it_is_undone(world: World) -> None:
    switch("book-drops", 1)
    run = world.start("daring", places=["a", "b"])
    now = rest(world, run)
    cancel(run)
    now = rest(world, run)
    assert now.waiting_for == "a person to say what became of book_once: its outcome is in doubt"
    assert ledger("unbook-called") == []
    (doubt,) = Step.objects.filter(run=run, status="in_doubt")
    say(world, doubt, world.bob, "happened", result={"place": "b"})
    assert rest(world, run).status == "cancelled"
    assert places("unbooked") == ["b", "a"]


def test_what_did_not_happen_is_not_undone(world: World) -> None:
    switch("book-drops", 1)
    run = world.start("daring", places=["a", "b"])
    rest(world, run)
    cancel(run)
    rest(world, run)
    (doubt,) = Step.objects.filter(run=run, status="in_doubt")
    say(world, doubt, world.bob, "did_not_happen")
    assert rest(world, run).status == "cancelled"
    assert places("unbooked") == ["a"]
    assert places("booked").count("b") == 1


def test_a_run_that_fails_waits_for_its_doubts_and_runs_none_of_them_again(world: World) -> None:
    switch("book-drops", 1)
    switch("book-refuses", 1)
    run = world.start("rushing")
    rest(world, run)
    now = world.run_now(run)
    assert now.waiting_for == "a person to say what became of book_once: its outcome is in doubt"
    assert now.ending is not None and now.ending["status"] == "failed"
    (doubt,) = Step.objects.filter(run=run, status="in_doubt")
    say(world, doubt, world.bob, "did_not_happen")
    assert rest(world, run).status == "failed"
    assert Step.objects.get(pk=doubt.pk).status == "cancelled"
    assert (places("booked"), places("unbooked")) == (["a"], [])


def test_people_can_say_that_a_doubt_undoes_the_run_whatever_its_code_says(world: World) -> None:
    switch("book-drops", 1)
    run = world.start("daring", places=["a", "b"])
    rest(world, run)
    (doubt,) = Step.objects.filter(run=run, status="in_doubt")
    say(world, doubt, world.bob, "undo")
    now = rest(world, run)
    assert now.status == "failed"
    assert now.error is not None and now.error["kind"] == "UndoAsked"
    assert places("unbooked") == ["a"]


def test_a_step_in_flight_whose_attempts_are_spent_meanwhile_asks_nobody_any_more(
    world: World,
) -> None:
    from runs import transitions

    run = world.start("touring", places=["a", "b"])
    world.work()
    first, second = world.steps(run)
    with as_role("placet_executor"):
        assert effects.execute(first.pk)
        fence = transitions.start_step(second.pk, holder="executor", seconds=60).stepclaim.fence
    cancel(run)
    world.work()
    assert world.run_now(run).waiting_for == "book to end, then what it did is undone"
    with as_role("placet_executor"):
        error = {"kind": "RuntimeError", "message": "It did not work."}
        outcome = transitions.Outcome(status="paused", event="step.paused", error=error)
        transitions.finish_attempt(Held("step", second.pk, fence), outcome)
    world.work()
    assert world.run_now(run).waiting_for == "unbook to undo book"
    assert Step.objects.get(pk=second.pk).status == "cancelled"
    assert rest(world, run).status == "cancelled"
    assert places("unbooked") == ["a"]


def test_a_doubt_about_a_run_that_has_ended_starts_nothing_any_more(world: World) -> None:
    from runs import transitions

    switch("book-drops", 1)
    run = world.start("daring", places=["a", "b"])
    rest(world, run)
    with as_role("placet_worker"):
        transitions.wake(run.id)
        claim = claims.take_run(run.id)
        assert claim is not None
        error = {"kind": "RuntimeError", "message": "It ended."}
        transitions.finish_run(claim, "failed", error=error)
    (doubt,) = Step.objects.filter(run=run, status="in_doubt")
    say(world, doubt, world.bob, "did_not_happen")
    world.settle()
    assert Step.objects.get(pk=doubt.pk).status == "cancelled"
    assert places("booked").count("b") == 1


def test_children_are_asked_to_end_when_their_parent_begins_to(world: World) -> None:
    switch("unbook-refuses", 1)
    run = world.start("fathering")
    assert rest(world, run).status == "waiting"
    (child,) = Run.objects.filter(parent=run)
    assert child.status == "cancelled"


# An undo that does not go well


def test_an_undo_that_is_refused_waits_for_a_person_and_can_be_given_up(world: World) -> None:
    switch("unbook-refuses", 1)
    run = world.start("travelling", places=["a", "b"], ends_well=False)
    now = rest(world, run)
    assert now.status == "waiting"
    assert "unbook" in now.waiting_for and "person" in now.waiting_for
    (stuck,) = Step.objects.filter(run=run, status="paused")
    say(world, stuck, world.bob, "give_up")
    now = rest(world, run)
    assert now.status == "failed"
    assert now.error is not None
    assert now.error["kind"] == "RuntimeError"
    assert now.error["message"].startswith("nobody wants to travel Not undone: book (")
    assert places("unbooked") == ["a"]
    (left,) = last_body(run)["undo"]["not_undone"]
    assert (left["position"], left["name"], left["by"]) == (2, "book", "unbook")


def test_an_undo_that_is_refused_can_be_tried_again(world: World) -> None:
    switch("unbook-refuses", 1)
    run = world.start("travelling", places=["a"], ends_well=False)
    rest(world, run)
    (stuck,) = Step.objects.filter(run=run, status="paused")
    say(world, stuck, world.bob, "retry")
    assert rest(world, run).status == "failed"
    assert places("unbooked") == ["a"]


def test_an_undo_can_be_made_with_other_arguments(world: World) -> None:
    switch("unbook-refuses", 1)
    run = world.start("travelling", places=["a"], ends_well=False)
    rest(world, run)
    (stuck,) = Step.objects.filter(run=run, status="paused")
    say(world, stuck, world.bob, "retry_with", result={"place": "A", "original_key": "k"})
    now = rest(world, run)
    assert now.error == {"kind": "RuntimeError", "message": "nobody wants to travel"}
    assert places("unbooked") == ["A"]
    assert [step.status for step in undo_steps(run)] == ["cancelled", "succeeded"]


def test_an_undo_can_be_skipped_with_what_a_person_did_by_hand(world: World) -> None:
    switch("unbook-refuses", 1)
    run = world.start("travelling", places=["a"], ends_well=False)
    rest(world, run)
    (stuck,) = Step.objects.filter(run=run, status="paused")
    say(world, stuck, world.bob, "skip", result={"by": "telephone"})
    now = rest(world, run)
    assert now.error == {"kind": "RuntimeError", "message": "nobody wants to travel"}
    assert places("unbooked") == []


def test_an_undo_whose_outcome_nobody_knows_is_in_doubt(world: World) -> None:
    switch("unbook-fails", 3)
    run = world.start("travelling", places=["a"], ends_well=False)
    now = rest(world, run)
    (doubt,) = Step.objects.filter(run=run, status="in_doubt")
    assert positions.is_undo(doubt.position)
    assert now.waiting_for == "a person to say what became of unbook: its outcome is in doubt"
    say(world, doubt, world.bob, "did_not_happen")
    assert rest(world, run).status == "failed"
    assert places("unbooked") == ["a"]


def test_an_undo_of_a_cancelled_run_that_did_not_happen_is_tried_again(world: World) -> None:
    """Of a cancelled run nothing new is begun; but an undo is what the cancelling is for."""
    switch("unbook-fails", 3)
    run = world.start("daring", places=["a", "b"])
    world.settle()
    cancel(run)
    rest(world, run)
    (doubt,) = Step.objects.filter(run=run, status="in_doubt")
    say(world, doubt, world.bob, "did_not_happen")
    assert rest(world, run).status == "cancelled"
    assert places("unbooked") == ["b", "a"]


def test_an_undo_whose_arguments_cannot_be_made_waits_in_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs.declare import TOOLS, Tool

    def broken(*_: Any) -> Any:
        raise KeyError("the order number")

    run = world.start("daring", places=["a", "b"])
    world.settle()
    cancel(run)
    with monkeypatch.context() as patch:
        patch.setattr(Tool, "undo_arguments", broken)
        now = rest(world, run)
    assert now.status == "paused"
    assert "its arguments cannot be made: 'the order number'" in now.waiting_for
    assert TOOLS["book"].undo_tool is TOOLS["unbook"]
    resume(run)
    assert rest(world, run).status == "cancelled"
    assert places("unbooked") == ["b", "a"]


def test_without_the_tool_that_could_be_undone_nothing_is_guessed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs.declare import TOOLS

    run = world.start("daring", places=["a", "b"])
    world.settle()
    cancel(run)
    with monkeypatch.context() as patch:
        patch.delitem(TOOLS, "book")
        now = rest(world, run)
    assert now.status == "quarantined"
    assert "the journal holds a step of book, but the code asks for no tool" in now.waiting_for
    resume(run)
    assert rest(world, run).status == "cancelled"
    assert places("unbooked") == ["b", "a"]


# An undo that moves money


def charged(world: World) -> Run:
    """A failed charge whose undo waits at its gate."""
    world.policy(tool="charge_back")
    run = world.start("charging", amount_minor=500)
    rest(world, run)
    world.keep_gates()
    (gate,) = world.gates(run)
    assert positions.is_undo(gate.step.position) and ledger("charged-back") == []
    return run


def test_an_undo_that_moves_money_waits_at_its_gate(world: World) -> None:
    run = charged(world)
    world.approve_all(run)
    now = rest(world, run)
    assert (now.status, len(ledger("charged-back"))) == ("failed", 1)


def test_an_undo_that_people_denied_waits_for_a_person_in_words(world: World) -> None:
    run = charged(world)
    (gate,) = world.gates(run)
    world.decide(gate, world.bob, "deny", "They may keep it.")
    now = rest(world, run)
    assert now.status == "paused"
    assert now.waiting_for.startswith(
        "somebody to resume it (it then goes on without it) or to terminate it:"
        " charge_back, which undoes charge, was denied:"
    )
    assert "bob" in now.waiting_for and "They may keep it." in now.waiting_for
    world.settle()
    resume(run)
    now = rest(world, run)
    assert now.status == "failed"
    assert now.error is not None and "Not undone: charge (" in now.error["message"]
    assert ledger("charged-back") == []


def test_an_undo_that_nobody_decided_on_is_asked_for_again(world: World) -> None:
    run = charged(world)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_gate SET expires_at = now() - interval '1 second'")
    now = rest(world, run)
    assert now.status == "paused"
    assert "(it then tries that again)" in now.waiting_for
    resume(run)
    world.settle()
    second = world.gates(run)[-1]
    assert second.step.position == 1_010_000
    world.decide(second, world.bob)
    assert rest(world, run).status == "failed"
    assert len(ledger("charged-back")) == 1


# Steering a run that is being undone


def test_terminating_ends_an_undo_too(world: World) -> None:
    run = charged(world)
    with as_role("placet_web"):
        steering.terminate(run=run, actor="bob", reason=WHY)
    now = rest(world, run)
    assert now.status == "cancelled"
    assert now.error is not None and now.error["kind"] == "Terminated"
    assert [step.status for step in undo_steps(run)] == ["cancelled"]
    assert ledger("charged-back") == []


def test_a_run_that_is_being_undone_can_be_paused(world: World) -> None:
    run = world.start("travelling", places=["a", "b"], ends_well=False)
    while not undo_steps(run):
        world.execute()
        world.work()
    switch("unbook-fails", 1)
    with as_role("placet_executor"):
        assert effects.execute(undo_steps(run)[0].pk)
    with as_role("placet_web"):
        steering.pause(run=run, actor="bob", reason=WHY)
    time.sleep(0.05)
    assert rest(world, run).status == "paused"
    assert len(ledger("unbook-called")) == 1
    resume(run)
    assert rest(world, run).status == "failed"
    assert places("unbooked") == ["b", "a"]


def test_a_run_that_fails_while_it_is_to_be_paused_begins_no_undo_before_it_is_resumed(
    world: World,
) -> None:
    run = world.start("travelling", places=["a"], ends_well=False)
    world.work()
    world.execute()
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None
    with as_role("placet_web"):
        steering.pause(run=run, actor="bob", reason=WHY)
    with as_role("placet_worker"):
        worker._slice(claim)
    assert rest(world, run).status == "paused"
    assert undo_steps(run) == []
    resume(run)
    rest(world, run)
    assert places("unbooked") == ["a"]


def test_cancelling_a_run_that_is_being_undone_says_that_it_ends_already(world: World) -> None:
    from runs.errors import SteeringRefused

    run = charged(world)
    with pytest.raises(SteeringRefused, match="what it did is being undone"):
        cancel(run)


# Killed in between


def play(world: World, run: Run) -> None:
    """All processes in turn, those that follow a lost one included, until the run has ended."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and world.run_now(run).finished_at is None:
        with as_role("placet_worker"):
            worker.advance(run.id)
        with as_role("placet_executor"):
            recovery.recover_lost_steps()
        world.execute()
        time.sleep(0.005)


def test_killed_at_any_point_a_run_is_undone_once(world: World) -> None:
    """Every commit and every outside call, of worker and executor, one after the other."""
    number, names = 0, set()
    while True:
        number += 1
        before = len(ledger("unbooked"))
        run = world.start("touring", places=["a", "b"])
        point = killed_after(number, lambda run=run: play(world, run))  # type: ignore[misc]
        end_claims()
        play(world, run)
        now = world.run_now(run)
        where = f"killed at point {number}, {point}"
        assert now.status == "failed", f"{where}: {now.status} {now.waiting_for}"
        assert places("unbooked")[before:] == ["b", "a"], where
        assert [step.status for step in undo_steps(run)] == ["succeeded"] * 2, where
        kinds = list(Event.objects.filter(run=run).values_list("kind", flat=True))
        assert kinds.count("run.undoing") == kinds.count("run.failed") == 1, where
        if not point:
            break
        names.add(point)
    assert {"committed:run.undoing", "called:unbook", "committed:run.failed"} <= names


# Attacks by SQL, as the roles


def test_nobody_rewrites_how_a_run_ends(world: World) -> None:
    run = charged(world)
    for role in ("placet_web", "placet_executor", "placet_gatekeeper"):
        with psycopg.connect(world.servers.database_url(role)) as attacker:
            with pytest.raises(psycopg.Error, match="permission denied"):
                attacker.execute("UPDATE runs_run SET ending = NULL WHERE id = %s", [run.id])
    for ending in ("NULL", """'{"status": "cancelled", "error": null}'"""):
        with psycopg.connect(world.servers.database_url("placet_worker")) as attacker:
            with pytest.raises(psycopg.Error, match="run ending: how a run ends is decided once"):
                attacker.execute(f"UPDATE runs_run SET ending = {ending} WHERE id = %s", [run.id])


def test_the_claim_of_a_lost_worker_writes_no_undo(world: World) -> None:
    from runs import transitions
    from runs.errors import Fenced

    run = world.start("daring", places=["a", "b"])
    world.settle()
    cancel(run)
    with as_role("placet_worker"):
        lost = claims.take_run(run.id)
        assert lost is not None
        end_claims()
        assert claims.take_run(run.id) is not None
        with pytest.raises(Fenced):
            transitions.begin_undo(Held("run", run.id, lost.fence), "cancelled", None)
    assert world.run_now(run).ending is None
