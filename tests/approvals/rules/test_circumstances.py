"""What rows say about a payment, counted by the gatekeeper; two at once cannot slip under a sum."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import asking, gates, limits, policies
from approvals.envelope import envelope_of
from approvals.models import Gate
from approvals.rules.circumstances import is_known, read_circumstances
from approvals.rules.evaluate import evaluate
from approvals.rules.facts import Circumstances, Needs, Request, Summed
from runs import workflow
from runs.clock import database_now
from runs.forks import fork
from runs.models import Step
from tests.approvals import former
from tests.approvals.former import OTHER_ACCOUNT, ask, made, payment
from tests.approvals.rules.asking import BLOCK, CONSENT, DAY, document, paying, rule
from tests.approvals.test_gates import let_time_pass
from tests.approvals.test_history import give_to_another_tenant
from tests.harness import World, admin, as_role

PAYEE_SUM = ("payee", "EUR", DAY)


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    former.prepare()


@pytest.fixture(autouse=True)
def _rules(world: World) -> None:
    former.publish(world)


def request(world: World, amount_minor: int = 1000, **changed: Any) -> Request:
    """One more payment like those of `former`, asked for now."""
    arguments = payment(amount_minor, **changed)
    return paying(
        amount_minor,
        currency=arguments["currency"],
        payee=arguments["iban"],
        payee_name=arguments["creditor"],
        tool="transfer",
        workflow="transferring",
        tenant=world.tenant,
        arguments=arguments,
        at=database_now(),
    )


def read(needs: Needs, asked: Request, **given: Any) -> Circumstances:
    with as_role("placet_gatekeeper"):
        return read_circumstances(needs, asked, **given)


def total(asked: Request, by: str = "payee", **given: Any) -> int:
    one = (by, "EUR", DAY)
    return read(Needs(sums=(one,)), asked, **given).sums[one].amount_minor


# Sums


def test_a_sum_counts_what_was_made_within_its_window(world: World) -> None:
    made(world, 100, days_ago=0.9)
    assert total(request(world)) == 100
    made(world, 200, days_ago=1.1)
    assert total(request(world)) == 100
    week = ("payee", "EUR", 7 * DAY)
    both = read(Needs(sums=(PAYEE_SUM, week)), request(world)).sums
    assert {one: both[one].amount_minor for one in both} == {PAYEE_SUM: 100, week: 300}


def test_a_sum_counts_what_waits_for_people_and_what_they_approved(world: World) -> None:
    (gate,) = ask(world, payment(400))
    assert total(request(world)) == 400
    world.decide(gate, world.bob)
    world.keep_gates()
    gate.refresh_from_db()
    assert (gate.status, gate.step.status) == ("approved", "ready")
    assert total(request(world)) == 400
    world.settle()
    assert Step.objects.get(pk=gate.step_id).status == "succeeded"
    assert total(request(world)) == 400


def test_a_sum_counts_what_is_in_doubt_and_not_what_was_never_paid(world: World) -> None:
    denied, expired, tried = ask(world, payment(1), payment(20), payment(300))
    assert total(request(world)) == 321
    world.decide(denied, world.bob, "deny")
    world.settle()
    assert total(request(world)) == 320
    let_time_pass(expired)
    assert total(request(world)) == 300
    world.settle()
    world.decide(tried, world.bob)
    world.settle()
    for status, expected in (("in_doubt", 300), ("paused", 300), ("failed", 0)):
        turn(tried, status)
        assert total(request(world)) == expected, status


def turn(gate: Gate, status: str) -> None:
    """What became of its step, behind the guards."""
    ended = "finished_at" if status == "failed" else "NULL"
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            f"UPDATE runs_step SET status = %s, finished_at = {ended} WHERE id = %s",
            [status, gate.step_id],
        )
        superuser.execute(
            "UPDATE runs_step SET finished_at = now() WHERE id = %s AND status = 'failed'",
            [gate.step_id],
        )


def test_a_payment_that_people_skipped_is_not_counted(world: World) -> None:
    gate = made(world, 100, days_ago=0)
    assert total(request(world)) == 100
    skip(world, gate)
    assert total(request(world)) == 0


def skip(world: World, gate: Gate) -> None:
    """People settle its step as not to be done, behind the guards."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "INSERT INTO runs_settlement (id, tenant, step_id, attempt, person_id, answer, result,"
            " reason, seal, at, writer) SELECT gen_random_uuid(), tenant, id, attempt, %s, 'skip',"
            " 'null', 'Paid by hand.', '', now(), '' FROM runs_step WHERE id = %s",
            [world.bob.id, gate.step_id],
        )


def test_a_sum_is_by_what_the_rule_says(world: World) -> None:
    (first,) = ask(world, payment(1))
    ask(world, payment(20, iban=OTHER_ACCOUNT), payment(300, currency="GBP"))
    asked = request(world)
    assert [total(asked, by) for by in ("payee", "workflow", "tenant")] == [1, 21, 21]
    assert total(replace(asked, run_id=str(first.run_id)), "run") == 1
    assert total(replace(asked, run_id=str(world.start("paying", amounts=[]).id)), "run") == 0
    assert total(replace(asked, workflow="paying"), "workflow") == 0
    assert total(replace(asked, tenant="somebody-else"), "tenant") == 0
    assert total(asked, "tenant", but=first.id) == 20


@workflow("asking_others", version=1)
def asking_others(run: Any, *, payments: list[dict[str, Any]]) -> Any:
    """Has each payment made by a child of its own."""
    return [run.start("transferring", payments=[one]).result() for one in payments]


@workflow("asking_in_parts", version=1)
def asking_in_parts(run: Any, *, payments: list[dict[str, Any]]) -> Any:
    """Goes on as a new run after each payment."""
    run.call(former.transfer, **payments[0])
    if payments[1:]:
        run.continue_as_new(payments=payments[1:])


@pytest.mark.parametrize("name", ["asking_others", "asking_in_parts"])
def test_an_agent_begins_no_new_sum_by_other_runs_of_its_own(world: World, name: str) -> None:
    world.start(name, payments=[payment(100), payment(20), payment(3)])
    world.settle()
    for amount, before in ((100, 0), (20, 100), (3, 120)):
        (gate,) = Gate.objects.filter(tenant=world.tenant, status="open")
        assert gate.amount_minor == amount
        asked = replace(request(world), run_id=str(gate.run_id))
        assert total(asked, "run", but=gate.id) == before
        world.decide(gate, world.bob)
        world.settle()
    assert total(replace(request(world), run_id=str(gate.run_id)), "run") == 123


def test_a_fork_goes_on_with_the_sum_of_what_it_was_forked_from(world: World) -> None:
    gate = made(world, 100, days_ago=0)
    with as_role("placet_web"):
        again = fork(run=gate.run, at=0, requested_by=world.alice)
    assert total(replace(request(world), run_id=str(again.id)), "run") == 100


def test_nothing_of_another_tenant_is_read(world: World) -> None:
    theirs = made(world, 100, days_ago=0)
    needs = Needs(sums=(("tenant", "EUR", DAY),), payee=True, changed=("note",))
    ours = read(needs, request(world))
    assert (ours.first_seen, ours.compared_with) == (False, str(theirs.id))
    give_to_another_tenant(theirs)
    known = read(needs, request(world))
    assert known.sums["tenant", "EUR", DAY] == Summed(amount_minor=0)
    assert (known.first_seen, known.account_changed, known.compared_with) == (True, False, "")


def test_an_account_with_other_spaces_or_letters_does_not_begin_a_new_sum(world: World) -> None:
    ask(world, payment(100, iban="de89 3704 0044 0532 0130 00"))
    assert total(request(world)) == 100


def test_a_sum_by_agent_is_told_where_the_workflow_declares_one(world: World) -> None:
    needs = Needs(sums=(("agent", "EUR", DAY), PAYEE_SUM))
    assert set(read(needs, replace(request(world), agent="")).sums) == {PAYEE_SUM}
    assert set(read(needs, request(world)).sums) == {("agent", "EUR", DAY), PAYEE_SUM}


def test_a_sum_says_when_there_is_more_than_was_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(world, 100, days_ago=0.5)
    made(world, 100, days_ago=0.4)
    needs = Needs(sums=(PAYEE_SUM,))
    assert read(needs, request(world)).sums[PAYEE_SUM] == Summed(amount_minor=200)
    monkeypatch.setattr(limits, "SUM_GATES", 1)
    assert read(needs, request(world)).sums[PAYEE_SUM] == Summed(amount_minor=100, is_at_least=True)


# The payee, and what changed

PAYEE = Needs(payee=True)


def test_an_account_is_known_once_a_payment_to_it_was_made(world: World) -> None:
    (gate,) = ask(world)
    assert read(PAYEE, request(world)).first_seen is True
    world.decide(gate, world.bob)
    world.settle()
    assert read(PAYEE, request(world)).first_seen is False
    assert read(PAYEE, request(world), but=gate.id).first_seen is True
    assert read(PAYEE, request(world, iban=OTHER_ACCOUNT)).first_seen is True


def test_an_account_stays_known_however_many_gates_have_closed_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = made(world, days_ago=400)
    made(world, iban=OTHER_ACCOUNT, days_ago=1)
    monkeypatch.setattr(limits, "HISTORY_GATES", 1)
    assert read(PAYEE, request(world)).first_seen is False
    skip(world, paid)
    assert read(PAYEE, request(world)).first_seen is True


def test_an_account_has_changed_when_the_last_payment_to_the_name_went_elsewhere(
    world: World,
) -> None:
    assert read(PAYEE, request(world)).account_changed is False
    made(world, iban=OTHER_ACCOUNT, creditor="Acme", days_ago=3)
    assert read(PAYEE, request(world)).account_changed is True
    assert read(PAYEE, request(world, creditor="Somebody new")).account_changed is False
    made(world, days_ago=2)
    assert read(PAYEE, request(world)).account_changed is False
    assert read(PAYEE, request(world, iban=OTHER_ACCOUNT)).account_changed is True


def test_a_name_beyond_what_was_looked_at_counts_as_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(world, creditor="Somebody", days_ago=2)
    assert read(PAYEE, request(world)).account_changed is False
    monkeypatch.setattr(limits, "HISTORY_GATES", 1)
    assert read(PAYEE, request(world)).account_changed is True


def test_arguments_are_compared_with_the_last_similar_action(world: World) -> None:
    needs = Needs(changed=("iban", "note", "nothing"))
    assert read(needs, request(world)).compared_with == ""
    made(world, creditor="Somebody", note="other", days_ago=1)
    assert read(needs, request(world)).compared_with == ""
    made(world, note="older", days_ago=3)
    similar = made(world, note="rent", days_ago=2)
    known = read(needs, request(world, note="rent", iban=OTHER_ACCOUNT))
    assert known.compared_with == str(similar.id)
    assert known.changed == {"iban": True, "note": False, "nothing": False}


def test_without_a_name_what_is_similar_is_by_account(world: World) -> None:
    needs = Needs(changed=("note",))
    made(world, creditor="", iban=OTHER_ACCOUNT, note="theirs", days_ago=1)
    similar = made(world, creditor="", note="rent", days_ago=2)
    assert read(needs, request(world, creditor="")).compared_with == str(similar.id)


def test_the_executor_and_the_web_read_the_same(world: World) -> None:
    ask(world, payment(100))
    needs = Needs(sums=(PAYEE_SUM,), payee=True, changed=("note",))
    asked, found = request(world), []
    for role in ("placet_gatekeeper", "placet_executor", "placet_web"):
        with as_role(role):
            found.append(read_circumstances(needs, asked))
    assert found == [found[0]] * 3
    assert found[0].sums[PAYEE_SUM].amount_minor == 100


def test_all_that_can_be_asked_for_is_read_in_three_statements(world: World) -> None:
    made(world, days_ago=1)
    needs = Needs(sums=(PAYEE_SUM, ("tenant", "EUR", 60)), payee=True, changed=("note",))
    asked = request(world)
    with as_role("placet_gatekeeper"), CaptureQueriesContext(connection) as caught:
        known = read_circumstances(needs, asked)
        assert len(caught) == 3
        assert read_circumstances(Needs(), asked) == Circumstances()
        assert len(caught) == 3
    assert is_known(needs, known)
    assert not is_known(needs, Circumstances())
    assert not is_known(Needs(changed=("iban",)), known)
    assert not is_known(Needs(sums=(("run", "EUR", 60),)), known)
    assert is_known(Needs(), Circumstances())


# As of a moment in the past


def test_rows_are_counted_as_they_stood_at_a_moment(world: World) -> None:
    before = database_now()
    (gate,) = ask(world, payment(500))
    opened = database_now()
    world.decide(gate, world.bob)
    world.settle()
    paid = database_now()
    needs = Needs(sums=(PAYEE_SUM,), payee=True)
    found = []
    for moment in (before, opened, paid):
        known = read(needs, replace(request(world), at=moment), until=moment)
        found.append((known.sums[PAYEE_SUM].amount_minor, known.first_seen))
    assert found == [(0, True), (500, True), (500, False)]
    later = paid + timedelta(days=2)
    known = read(needs, replace(request(world), at=later), until=later)
    assert (known.sums[PAYEE_SUM].amount_minor, known.first_seen) == (0, False)


# Two at once

LIMIT = 1000
BELOW_THE_LIMIT = {"by": "payee", "currency": "EUR", "window_seconds": DAY, "above_minor": LIMIT}


def publish(world: World, *rules: dict[str, Any]) -> None:
    with as_role("placet_owner"):
        policies.publish(tenant=world.tenant, document=document(*rules))


def held(world: World, amount_minor: int) -> UUID:
    """A step that waits for the gatekeeper."""
    run = world.start("transferring", payments=[payment(amount_minor)])
    world.work()
    return Step.objects.get(run=run, status="held").id


def two_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two payments of 600 whose gates are opened in the same moment; how many are blocked."""
    publish(world, rule({"block": "Too much."}, "sum", sum=BELOW_THE_LIMIT), rule(CONSENT, "else"))
    steps = [held(world, 600) for _ in range(2)]
    evaluating, go_on = threading.Semaphore(0), threading.Event()

    def slowly(*given: Any) -> Any:
        evaluating.release()
        assert go_on.wait(30)
        return evaluate(*given)

    def keep(step_id: UUID) -> None:
        assert gates.keep(step_id)
        connection.close()

    monkeypatch.setattr(asking, "evaluate", slowly)
    with as_role("placet_gatekeeper"):
        threads = [threading.Thread(target=keep, args=(step_id,)) for step_id in steps]
        for thread in threads:
            thread.start()
        until_both_came(evaluating)
        go_on.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    return sorted(Step.objects.get(pk=step_id).status for step_id in steps)


def until_both_came(evaluating: threading.Semaphore) -> None:
    """Each has read the sum, or waits for the other at the lock."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    until, have_read = time.monotonic() + 30, 0
    with admin() as superuser:
        while True:
            have_read += evaluating.acquire(blocking=False)
            waiting = superuser.execute(query).fetchone()
            assert waiting is not None
            if have_read + waiting[0] == 2:
                return
            assert time.monotonic() < until
            time.sleep(0.01)


def test_two_requests_at_once_do_not_both_slip_under_a_sum(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert two_at_once(world, monkeypatch) == ["denied", "held"]
    assert Gate.objects.count() == 1


def test_without_the_lock_two_requests_at_once_slip_under_a_sum(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "lock", lambda _: None)
    assert two_at_once(world, monkeypatch) == ["held", "held"]
    assert Gate.objects.count() == 2


# From a held step to the payment


def test_a_payment_goes_by_the_circumstances_that_its_gate_was_opened_by(world: World) -> None:
    """The second payment to an account is known; the executor evaluates by the envelope."""
    publish(
        world,
        rule({"consent": {"group": "payments", "count": 2}}, "new", payee={"first_seen": True}),
        rule("allow", "known", sum=BELOW_THE_LIMIT | {"above_minor": 100}),
        rule(CONSENT, "else"),
    )
    (first,) = ask(world, payment(60))
    assert (first.rule_name, first.quorum) == ("new", 2)
    assert envelope_of(first)["circumstances"]["first_seen"] is True
    for person in (world.bob, world.carol):
        world.decide(first, person)
    world.settle()
    assert Step.objects.get(pk=first.step_id).status == "succeeded"
    (second,) = ask(world, payment(41))
    assert (second.rule_name, second.status) == ("known", "approved")
    assert Step.objects.get(pk=second.step_id).status == "succeeded"
    (sums,) = envelope_of(second)["circumstances"]["sums"]
    assert (sums["by"], sums["amount_minor"]) == ("payee", 60)


def test_a_payment_that_nobody_can_evaluate_is_held_and_says_why(world: World) -> None:
    publish(world, rule(BLOCK, "no names", payee={"account_changed": True}), rule(CONSENT, "else"))
    run = world.start("transferring", payments=[payment(creditor="")])
    world.settle()
    (step,) = Step.objects.filter(run=run)
    assert step.status == "held"
    assert step.held_because.startswith(
        "Nobody can tell whether the rule 'no names' (block) is about this request, so it is held."
        " The payment names nobody whose account could be compared."
    )
    assert world.gates(run) == []
