"""Paused steps: their attempts are spent, nothing happened, and people say how they go on."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from runs import RetryLater, canonical, claims, limits, positions, settlements, transitions
from runs.declare import TOOLS
from runs.errors import SettlementRefused
from runs.models import Effect, Event, Run, Settlement, Step, new_id
from runs.settlements import settle
from runs.steering import request_cancel
from tests.harness import World, admin, as_role
from tests.runs.test_retries import call, come_to_rest, set_switch
from tests.zoo import ledger

IBAN = "GB29NWBK60161331926819"


def paused(world: World, **more: Any) -> Step:
    """A step of the executor that was told "not now" until its attempts were spent."""
    set_switch("seat-later", 3)
    step = come_to_rest(world, call(world, "seat", name="x", **more))
    assert step.status == "paused"
    return step


def paused_in_the_worker(world: World) -> Step:
    set_switch("add-fails", 3)
    step = come_to_rest(world, world.start("adding", numbers=[1, 2]))
    assert (step.status, step.is_remote) == ("paused", False)
    return step


def paused_payment(world: World) -> Step:
    world.policy(tool="wire")
    run = call(world, "wire", iban=IBAN, amount_minor=500, currency="EUR")
    world.settle()
    world.approve_all(run)
    set_switch("wire-refuses-later", 3)
    step = come_to_rest(world, run)
    assert (step.status, step.is_money) == ("paused", True)
    return step


def say(world: World, step: Step, person: Any, answer: str, **more: Any) -> Settlement:
    with as_role("placet_web"):
        return settle(step=step, person=person, answer=answer, reason="I asked them.", **more)


def after(world: World, step: Step) -> tuple[Step, Run]:
    world.settle()
    return Step.objects.get(pk=step.pk), world.run_now(step.run)


BOTH = pytest.mark.parametrize("make", [paused, paused_in_the_worker])


@BOTH
def test_retry_gives_it_all_its_attempts_anew(world: World, make: Any) -> None:
    step = make(world)
    say(world, step, world.bob, "retry")
    now, run = after(world, step)
    assert (now.status, run.status) == ("succeeded", "succeeded")
    assert (now.attempt, now.failures, now.key) == (4, 0, step.key)


@BOTH
def test_a_retry_that_fails_pauses_again_and_needs_new_answers(world: World, make: Any) -> None:
    step = make(world)
    for name in ("seat-later", "add-fails"):
        set_switch(name, 3)
    say(world, step, world.bob, "retry")
    again = come_to_rest(world, step.run)
    assert (again.pk, again.status, again.attempt, again.failures) == (step.pk, "paused", 6, 3)
    say(world, again, world.bob, "give_up")
    assert after(world, step)[0].status == "failed"


@BOTH
def test_giving_up_is_told_to_the_author(world: World, make: Any) -> None:
    step = make(world)
    say(world, step, world.bob, "give_up")
    now, run = after(world, step)
    assert (now.status, run.status) == ("failed", "failed")
    assert run.error == {"kind": "StepFailed", "message": "Given up: I asked them."}


def test_skip_goes_on_with_the_result_that_is_given(world: World) -> None:
    step = paused(world)
    say(world, step, world.bob, "skip", result={"name": "y", "seats": 0})
    now, run = after(world, step)
    assert (now.status, world.result(run)) == ("succeeded", {"name": "y", "seats": 0})
    assert ledger("seated") == []
    assert Effect.objects.get(step=step).status == "failed", "it did not happen, for all that"


def test_skip_in_the_worker_goes_on_as_well(world: World) -> None:
    step = paused_in_the_worker(world)
    say(world, step, world.bob, "skip", result=40)
    _, run = after(world, step)
    assert world.result(run) == 42
    told = Event.objects.filter(run=run, kind="step.succeeded", position=step.position).get()
    assert canonical.decode(bytes(told.body)) == {"settled": "skip"}


def test_undo_ends_the_run_and_its_code_has_no_part_in_it(world: World) -> None:
    for make in (paused, paused_in_the_worker):
        step = make(world)
        say(world, step, world.bob, "undo")
        now, run = after(world, step)
        assert (now.status, run.status) == ("failed", "failed")
        assert now.error == {"kind": "UndoAsked", "message": "To be undone: I asked them."}
        assert run.error == now.error


# Other arguments


def test_other_arguments_are_a_new_step_with_a_key_of_its_own(world: World) -> None:
    step = paused(world)
    say(world, step, world.bob, "retry_with", result={"name": "y"})
    now, run = after(world, step)
    assert (now.status, (now.error or {})["kind"]) == ("cancelled", "Replaced")
    new = Step.objects.get(run=run, position=positions.replacement(step.position))
    assert (new.status, new.name) == ("succeeded", "seat")
    assert canonical.decode(bytes(new.arguments)) == {"name": "y", "seats": 1}
    assert new.key != step.key
    assert world.result(run) == {"name": "y", "seats": 1}
    assert [entry["name"] for entry in ledger("seated")] == ["y"]


def test_other_arguments_in_the_worker(world: World) -> None:
    step = paused_in_the_worker(world)
    say(world, step, world.bob, "retry_with", result={"a": 20, "b": 20})
    now, run = after(world, step)
    assert (now.status, world.result(run)) == ("cancelled", 42)
    assert world.steps(run)[-1].position == positions.replacement(step.position)


def test_other_arguments_that_a_safe_tool_does_not_take_are_asked_for_again(world: World) -> None:
    """Its schema is in the worker alone."""
    step = paused_in_the_worker(world)
    say(world, step, world.bob, "retry_with", result={"a": "twenty"})
    again, _ = after(world, step)
    assert (again.status, again.attempt) == ("paused", step.attempt + 1)
    assert again.error is not None
    assert again.error["kind"] == "InvalidArguments"
    say(world, again, world.bob, "skip", result=1)
    assert world.result(after(world, step)[1]) == 3


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"name": 5}, "seat: /name: 5 is not of type 'string'"),
        ({}, "'name' is a required property"),
        ({"name": "x", "seats": 1.0}, "/seats: 1.0 is not of type 'integer'"),
        ({"name": "x", "more": 1}, "'more' was unexpected"),
        ({"name": "x"}, "These are the arguments that the step has; choose to retry it"),
        ("name", "The other arguments are an object, by name"),
    ],
)
def test_other_arguments_are_checked_before_they_are_recorded(
    world: World, given: Any, why: str
) -> None:
    step = paused(world)
    with pytest.raises(SettlementRefused, match=why):
        say(world, step, world.bob, "retry_with", result=given)
    assert not Settlement.objects.exists()


def test_a_payment_with_other_arguments_has_a_gate_of_its_own(world: World) -> None:
    step = paused_payment(world)
    other = {"iban": IBAN, "amount_minor": 700, "currency": "EUR"}
    say(world, step, world.bob, "retry_with", result=other)
    assert after(world, step)[0].status == "paused", "about money one voice is not enough"
    with pytest.raises(SettlementRefused, match="bob has said to retry with"):
        say(world, step, world.carol, "retry_with", result=other | {"amount_minor": 800})
    say(world, step, world.carol, "retry_with", result=other)
    now, run = after(world, step)
    new = Step.objects.get(run=run, position=positions.replacement(step.position))
    assert (now.status, new.status, new.clearance_id) == ("cancelled", "held", None)
    assert ledger("wired") == []
    gates = world.gates(run)
    assert [gate.amount_minor for gate in gates] == [500, 700]
    world.decide(gates[1], world.bob)
    world.settle()
    assert world.result(run) == {"wired": 700}
    assert [entry["amount_minor"] for entry in ledger("wired")] == [700]


def test_a_payment_is_checked_more_strictly(world: World) -> None:
    step = paused_payment(world)
    for given, why in (
        ({"iban": IBAN, "amount_minor": 0, "currency": "EUR"}, "must be above zero"),
        ({"iban": IBAN, "amount_minor": 5, "currency": "XYZ"}, "not an ISO 4217 currency"),
        ({"iban": "a\u202eb", "amount_minor": 5, "currency": "EUR"}, "hidden|character"),
    ):
        with pytest.raises(SettlementRefused, match=why):
            say(world, step, world.bob, "retry_with", result=given)


def test_a_payment_is_retried_under_its_clearance_once_two_have_said_so(world: World) -> None:
    step = paused_payment(world)
    say(world, step, world.bob, "retry")
    assert after(world, step)[0].status == "paused"
    say(world, step, world.carol, "retry")
    now, _ = after(world, step)
    assert (now.status, now.clearance_id) == ("succeeded", step.clearance_id)
    assert len(ledger("wired")) == 1


def test_a_step_is_replaced_only_so_often(world: World) -> None:
    step = paused(world)
    for number in range(limits.MAX_REPLACEMENTS):
        set_switch("seat-later", 3)
        say(world, step, world.bob, "retry_with", result={"name": f"y{number}"})
        step = come_to_rest(world, step.run)
        assert step.status == "paused"
    assert positions.replacements(step.position) == limits.MAX_REPLACEMENTS
    with pytest.raises(SettlementRefused, match="given other arguments 9 times already"):
        say(world, step, world.bob, "retry_with", result={"name": "z"})
    say(world, step, world.bob, "retry")
    assert world.result(after(world, step)[1]) == {"name": "y8", "seats": 1}


def test_the_others_of_a_gather_go_on_meanwhile(world: World) -> None:
    """The new step is begun at once, not only when all others have ended."""
    run = world.start("paying", amounts=[100, 200])
    world.settle()
    first, second = world.gates(run)
    assert first.step.status == second.step.status == "held"
    # One is approved and pauses; the other stays at its gate.
    world.decide(first, world.bob)

    def later(_call: Any, **_: Any) -> None:
        raise RetryLater("not now", 0)

    before = TOOLS["pay"]
    TOOLS["pay"] = before.__class__(**{**before.__dict__, "function": later})
    try:
        for _ in range(50):
            world.settle()
            if Step.objects.get(pk=first.step_id).status == "paused":
                break
    finally:
        TOOLS["pay"] = before
    step = Step.objects.get(pk=first.step_id)
    other = canonical.decode(bytes(step.arguments)) | {"amount_minor": 50}
    for person in (world.bob, world.carol):
        say(world, step, person, "retry_with", result=other)
    world.settle()
    assert [gate.amount_minor for gate in world.gates(run)] == [100, 200, 50]


# Who may, and what the database refuses


@pytest.mark.parametrize(
    ("who", "answer", "why"),
    [
        ("alice", "retry", "You requested this run"),
        ("bob", "happened", "An answer is one of retry, retry_with, skip, undo, give_up"),
        ("bob", "did_not_happen", "An answer is one of retry"),
    ],
)
def test_what_is_no_answer_is_refused(world: World, who: str, answer: str, why: str) -> None:
    step = paused(world)
    with pytest.raises(SettlementRefused, match=why):
        say(world, step, getattr(world, who), answer)
    assert not Settlement.objects.exists()


def attack(world: World, role: str, statement: str, values: list[Any]) -> str:
    with psycopg.connect(world.servers.database_url(role)) as attacker:
        with pytest.raises(psycopg.Error) as refused:
            attacker.execute(statement, values)
    return str(refused.value)


@BOTH
@pytest.mark.parametrize("status", ["ready", "succeeded", "failed"])
def test_no_process_leaves_a_pause_without_what_people_said(
    world: World, make: Any, status: str
) -> None:
    step = make(world)
    change = f"UPDATE runs_step SET status = '{status}' WHERE id = %s"
    for role in ("placet_executor", "placet_worker", "placet_gatekeeper", "placet_owner"):
        said = attack(world, role, change, [step.pk])
        assert "settlement voices: 0 have said" in said or "step role: only the" in said, said
    assert "permission denied" in attack(world, "placet_web", change, [step.pk])


def test_two_voices_that_differ_are_not_two_voices(world: World) -> None:
    step = paused_payment(world)
    say(world, step, world.bob, "give_up")
    say(world, step, world.carol, "undo")
    change = "UPDATE runs_step SET status = 'failed' WHERE id = %s"
    said = attack(world, "placet_executor", change, [step.pk])
    assert "settlement voices: 1 have said" in said
    assert after(world, step)[0].status == "paused"


def test_an_answer_of_one_kind_does_not_lead_to_another_end(world: World) -> None:
    step = paused(world)
    say(world, step, world.bob, "give_up")
    for status in ("ready", "succeeded", "cancelled"):
        change = f"UPDATE runs_step SET status = '{status}' WHERE id = %s"
        said = attack(world, "placet_executor", change, [step.pk])
        assert "settlement voices: 0 have said" in said


def test_nobody_settles_as_the_requester_or_about_another_attempt_by_sql(world: World) -> None:
    step = paused(world)
    insert = (
        "INSERT INTO runs_settlement (id, tenant, step_id, attempt, person_id, answer, reason,"
        " seal, at, writer) VALUES (%s, %s, %s, %s, %s, %s, 'x', '', now(), '')"
    )
    for attempt, person, answer, why in (
        (step.attempt, world.alice, "retry", "settlement (requester|seal)"),
        (step.attempt + 1, world.bob, "retry", "settlement (step|seal)"),
        (step.attempt, world.bob, "did_not_happen", "settlement (answer|seal)"),
    ):
        values = [new_id(), step.tenant, step.pk, attempt, person.pk, answer]
        with psycopg.connect(world.servers.database_url("placet_web")) as web:
            with pytest.raises(psycopg.Error, match=why):
                web.execute(insert, values)


def test_no_worker_puts_a_step_in_the_place_of_another_that_nobody_asked_for(
    world: World,
) -> None:
    step = paused(world)
    insert = (
        "INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money,"
        " is_remote, declaration_id, status, arguments, digest, key, attempt, failures,"
        " held_because) SELECT %s, tenant, run_id, position + 10000, kind, name, effect, is_money,"
        " is_remote, declaration_id, 'ready', %s, digest, %s, 0, 0, '' FROM runs_step WHERE id = %s"
    )
    mine = b'{"name":"mallory","seats":9}'
    values = [new_id(), mine, "k1", step.pk]
    assert "step replacement: nobody has asked" in attack(world, "placet_worker", insert, values)
    say(world, step, world.bob, "retry_with", result={"name": "y"})
    with as_role("placet_executor"):
        assert settlements.carry_out() == 1
    values = [new_id(), mine, "k2", step.pk]
    assert "step replacement: nobody has asked" in attack(world, "placet_worker", insert, values)
    assert world.result(after(world, step)[1]) == {"name": "y", "seats": 1}


# Ends


@BOTH
def test_cancelling_a_run_cancels_its_paused_steps(world: World, make: Any) -> None:
    """Nothing of them happened, so nobody has to say anything."""
    step = make(world)
    with as_role("placet_web"):
        request_cancel(run=step.run, actor="alice")
    now, run = after(world, step)
    assert (now.status, run.status) == ("cancelled", "cancelled")


def test_the_words_are_those_of_what_is_waited_for_now(world: World) -> None:
    step = paused(world)
    since = world.run_now(step.run).waiting_since
    set_switch("seat-later", 1)
    say(world, step, world.bob, "retry")
    with as_role("placet_executor"):
        assert settlements.carry_out() == 1
    now = world.run_now(step.run)
    assert now.waiting_for == "a step of the executor"
    assert since is not None and now.waiting_since is not None and now.waiting_since > since


def test_a_step_of_the_worker_that_was_answered_while_it_ran_is_not_forgotten(
    world: World,
) -> None:
    """The answer wakes a run that waits; the lock of parking sees one that came before."""
    step = paused_in_the_worker(world)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE runs_run SET status = 'ready' WHERE id = %s", [step.run_id])
    with as_role("placet_worker"):
        claim = claims.take_run(step.run_id)
        assert claim is not None
    say(world, step, world.bob, "skip", result=1)
    with as_role("placet_worker"):
        transitions.park(claim, awaited=[step.position], waiting_for="a person")
    assert world.run_now(step.run).status == "ready"
