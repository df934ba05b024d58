"""What is unusual about a payment, and what differs from the last; said only when it is so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import figures, limits
from approvals.envelope import envelope_of
from approvals.history import Change, Comparison, Fact, Kind, history_of
from approvals.models import Gate
from console.pages.history import sentence_of, told_of
from console.pages.words import day
from runs import canonical
from runs.models import Step
from tests.approvals import former
from tests.approvals.former import ACCOUNT, OTHER_ACCOUNT, ask, made, payment, set_back
from tests.approvals.test_gates import let_time_pass
from tests.harness import World, admin, as_role


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    former.prepare()


@pytest.fixture(autouse=True)
def _rules(world: World) -> None:
    former.publish(world)


def facts(gate: Gate) -> dict[Kind, Fact]:
    with as_role("placet_web"):
        return {fact.kind: fact for fact in history_of(fresh(gate)).facts}


def said(gate: Gate) -> list[str]:
    with as_role("placet_web"):
        return [sentence_of(fact).text for fact in history_of(fresh(gate)).facts]


def fresh(gate: Gate) -> Gate:
    return Gate.objects.select_related("step").get(pk=gate.pk)


def paid_on(gate: Gate) -> str:
    finished_at = Step.objects.get(pk=gate.step_id).finished_at
    assert finished_at is not None
    return day(finished_at)


def one(world: World, amount_minor: int = 1000, **changed: Any) -> Gate:
    (gate,) = ask(world, payment(amount_minor, **changed))
    return gate


# The account


def test_the_first_payment_to_an_account_is_said(world: World) -> None:
    made(world, iban=OTHER_ACCOUNT, creditor="Somebody else")

    assert said(one(world)) == ["This is the first payment to this account."]


def test_how_often_and_when_an_account_was_paid_is_said(world: World) -> None:
    made(world, 900, days_ago=60)
    assert said(one(world))[0].startswith("1 payment to this account before, the last on ")
    last = made(world, 800, days_ago=50)

    gate = one(world, 700)
    assert said(gate)[0] == f"2 payments to this account before, the last on {paid_on(last)}."
    assert facts(gate)[Kind.KNOWN].gate_id == last.id
    assert Kind.FIRST not in facts(gate)


def test_what_was_denied_expired_or_failed_is_no_payment(world: World) -> None:
    denied, expired, failed = one(world), one(world), one(world)
    world.decide(denied, world.bob, "deny")
    let_time_pass(expired)
    world.decide(failed, world.bob)
    world.settle()
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE runs_step SET status = 'failed' WHERE id = %s", [failed.step_id])
    assert {fresh(g).status for g in (denied, expired, failed)} == {"denied", "expired", "approved"}

    assert said(one(world)) == ["This is the first payment to this account."]


def test_a_step_that_people_skipped_is_no_payment(world: World) -> None:
    skipped = made(world)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "INSERT INTO runs_settlement (id, tenant, step_id, attempt, person_id, answer, result,"
            " reason, seal, at, writer) SELECT gen_random_uuid(), tenant, id, attempt, %s, 'skip',"
            " 'null', 'Paid by hand.', '', now(), '' FROM runs_step WHERE id = %s",
            [world.bob.id, skipped.step_id],
        )

    assert said(one(world)) == ["This is the first payment to this account."]


def test_payments_of_another_tenant_never_count(world: World) -> None:
    for _ in range(3):
        theirs = made(world, 100, days_ago=1)
        give_to_another_tenant(theirs)
    open_theirs = one(world)
    give_to_another_tenant(open_theirs)

    gate = one(world, 1000)
    assert said(gate) == ["This is the first payment to this account."]
    assert "3 payments to this account before" in " ".join(said(open_theirs))
    with as_role("placet_web"):
        assert history_of(fresh(gate)).comparison is None


def give_to_another_tenant(gate: Gate) -> None:
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_gate SET tenant = 'others' WHERE id = %s", [gate.id])


# The amount


def test_an_amount_of_twice_the_median_or_more_is_said(world: World) -> None:
    for amount in (2000, 2350, 9000):
        made(world, amount, days_ago=40)

    gate = one(world, 9870)
    assert "It is 4.2 times the median of the last 3 payments to this payee (€23.50)." in said(gate)
    assert Kind.FACTOR in facts(one(world, 4700))
    assert Kind.FACTOR not in facts(one(world, 4699))


def test_of_an_even_number_the_median_is_between_the_middle_two(world: World) -> None:
    for amount in (100, 200, 300, 400):
        made(world, amount, days_ago=40)

    assert "2.0 times the median of the last 4 payments" in " ".join(said(one(world, 500)))
    assert Kind.FACTOR not in facts(one(world, 499))


def test_two_payments_have_no_median_and_other_currencies_do_not_count(world: World) -> None:
    for currency in ("EUR", "EUR", "GBP", "GBP"):
        made(world, 100, days_ago=40, currency=currency)

    assert Kind.FACTOR not in facts(one(world, 9000))
    made(world, 100, days_ago=40)
    assert facts(one(world, 9000))[Kind.FACTOR].count == 3


# The name


def test_another_account_for_the_same_name_is_said(world: World) -> None:
    made(world, days_ago=50, iban=ACCOUNT)
    last = made(world, days_ago=40, iban=OTHER_ACCOUNT)

    gate = one(world, iban=ACCOUNT, creditor="acme")
    assert (
        "The account of acme has changed: the last payment to that name went to "
        f"{OTHER_ACCOUNT} on {paid_on(last)}." in said(gate)
    )
    assert facts(gate)[Kind.CHANGED].gate_id == last.id
    assert Kind.CHANGED not in facts(one(world, iban=OTHER_ACCOUNT))
    assert Kind.CHANGED not in facts(one(world, iban=ACCOUNT, creditor="ACME Ltd"))


def test_payments_without_a_name_have_no_name_in_common(world: World) -> None:
    made(world, iban=OTHER_ACCOUNT, creditor="")

    assert Kind.CHANGED not in facts(one(world, creditor=""))


# The run


def test_a_further_payment_of_the_same_run_is_said(world: World) -> None:
    first, second, third = ask(world, payment(1), payment(2), payment(3))

    assert Kind.OF_RUN not in facts(first)
    assert "It is the 2nd payment that this run asks for." in said(second)
    assert "It is the 3rd payment that this run asks for." in said(third)


# Twice the same


def test_the_same_amount_to_the_same_account_within_a_week_is_said(world: World) -> None:
    last = made(world, 5000, days_ago=6.9)

    gate = one(world, 5000)
    sentence = f"The same amount to the same account was paid on {paid_on(last)}."
    assert sentence in said(gate)
    assert facts(gate)[Kind.REPEATED].gate_id == last.id
    assert Kind.REPEATED not in facts(one(world, 5001))
    assert Kind.REPEATED not in facts(one(world, 5000, currency="GBP"))
    set_back(last, 0.2)
    assert Kind.REPEATED not in facts(gate)


def test_another_open_request_for_the_same_is_said(world: World) -> None:
    first = one(world, 5000)
    assert Kind.ASKED_AGAIN not in facts(first)
    one(world, 5001)
    assert Kind.ASKED_AGAIN not in facts(first)
    second = one(world, 5000)

    assert "Another open request asks for the same amount to the same account." in said(first)
    assert facts(first)[Kind.ASKED_AGAIN].gate_id == second.id
    world.decide(second, world.bob, "deny")
    world.settle()
    assert Kind.ASKED_AGAIN not in facts(first)


# The sum


def test_what_the_account_would_have_got_within_thirty_days_is_said(world: World) -> None:
    edge = made(world, 2000, days_ago=29.9)
    gate = one(world, 5000)
    assert said(gate)[-1] == (
        "With this, €70.00 would have been paid to this account within 30 days."
    )

    one(world, 300)
    other, _ = ask(world, payment(400), payment(9, currency="GBP"))
    assert said(gate)[-1] == (
        "With this, €77.00 would have been paid to this account within 30 days, "
        "of which €7.00 is still waiting to be decided in 2 other requests."
    )

    set_back(edge, 0.2)
    world.decide(other, world.bob, "deny")
    world.settle()
    assert facts(gate)[Kind.SUM].amount_minor == 5300


def test_what_is_approved_and_not_paid_yet_is_in_the_sum(world: World) -> None:
    underway = one(world, 400)
    world.decide(underway, world.bob)
    world.keep_gates()

    gate = ask_only(world, 5000)
    assert said(gate)[-1] == (
        "With this, €54.00 would have been paid to this account within 30 days, "
        "of which €4.00 is approved and not paid yet."
    )


def ask_only(world: World, amount_minor: int) -> Gate:
    """A gate while no executor works."""
    run = world.start("transferring", payments=[payment(amount_minor)])
    while world.work() + world.keep_gates():
        pass
    return world.gates(run)[0]


def test_a_sum_of_one_payment_alone_is_not_said(world: World) -> None:
    made(world, days_ago=31)

    assert Kind.SUM not in facts(one(world))


# Nothing unusual


def test_where_nothing_is_unusual_one_sentence_says_so(world: World) -> None:
    last = made(world, 900, days_ago=31)

    gate = one(world)
    with as_role("placet_web"):
        told = told_of(history_of(fresh(gate)))

    assert told.unusual == told.usual == []
    assert told.quiet is not None
    assert told.quiet.text == (
        f"Nothing is unusual: 1 payment to this account before, the last on {paid_on(last)}."
    )


# A closed gate


def test_a_closed_gate_keeps_the_facts_that_were_decided_by(world: World) -> None:
    first = one(world, 5000)
    one(world, 5000)
    world.decide(first, world.bob)
    world.settle()
    made(world, 5000, days_ago=0)

    assert said(first) == ["This is the first payment to this account."]
    with as_role("placet_web"):
        assert history_of(fresh(first)).comparison is None


def test_what_was_approved_earlier_and_paid_after_the_closing_was_not_paid_then(
    world: World,
) -> None:
    approved, denied = one(world, 5000), one(world, 700)
    world.decide(approved, world.bob)
    world.keep_gates()
    world.decide(denied, world.bob, "deny")
    world.settle()

    assert Step.objects.get(pk=approved.step_id).status == "succeeded"
    assert said(denied) == ["This is the first payment to this account."]


# What differs


def compared(gate: Gate) -> Comparison:
    with as_role("placet_web"):
        found = history_of(fresh(gate)).comparison
    assert found is not None
    return found


def test_what_differs_from_the_last_payment_to_the_account_is_told(world: World) -> None:
    made(world, 1, days_ago=3, note="older")
    last = made(world, 900, days_ago=2, note="rent 10/2026")
    made(world, 7, days_ago=1, iban=OTHER_ACCOUNT, note="other account")
    denied = one(world, note="denied")
    world.decide(denied, world.bob, "deny")
    world.settle()

    found = compared(one(world, 1000, note="rent 11/2026"))

    assert found.gate_id == last.id
    assert found.changes == (
        Change(name="amount_minor", before=900, now=1000, was_given=True, is_given=True),
        Change(
            name="note", before="rent 10/2026", now="rent 11/2026", was_given=True, is_given=True
        ),
    )
    assert found.same_count == 3


def test_another_tool_is_nothing_to_compare_with(world: World) -> None:
    from tests.zoo import pay

    assert pay.name == "pay"
    run = world.park_at_gates(900)
    world.approve_all(run)
    world.settle()

    gate = one(world, iban="GB29NWBK60161331926810")
    with as_role("placet_web"):
        found = history_of(fresh(gate))
        words = told_of(found).none_words
    assert Kind.KNOWN in {fact.kind for fact in found.facts}
    assert words == (
        "No payment to this account was made by transfer before: "
        "there is nothing to compare it with."
    )


def test_an_argument_that_the_tool_has_got_since_was_not_given(world: World) -> None:
    last = made(world)
    told = envelope_of(last)
    del told["arguments"]["note"]
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_gate SET envelope = %s WHERE id = %s",
            [canonical.encode(told), last.id],
        )

    (change,) = compared(one(world)).changes

    assert change == Change(name="note", before=None, now="rent", was_given=False, is_given=True)


# The weight


def test_two_statements_are_enough_whatever_the_history_is(world: World) -> None:
    for _ in range(3):
        made(world)
    gate = fresh(one(world))

    with as_role("placet_web"), CaptureQueriesContext(connection) as captured:
        history_of(gate)

    assert len(captured.captured_queries) == 2


def test_beyond_the_limit_nothing_is_claimed_of_all_payments(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(world, 700, days_ago=5)
    last = made(world, 800, days_ago=4)
    monkeypatch.setattr(limits, "HISTORY_GATES", 1)

    gate = one(world)
    assert said(gate) == [
        "1 payment to this account among the last 1 requests that were closed, "
        f"the last on {paid_on(last)}.",
        "With this, at least €18.00 would have been paid to this account within 30 days.",
    ]
    assert said(one(world, iban=OTHER_ACCOUNT, creditor=""))[0] == (
        "No payment to this account is among the last 1 requests that were closed."
    )


def test_the_spans_are_those_of_the_sentences() -> None:
    assert timedelta(days=7) == figures.REPEATED_WITHIN
    assert timedelta(days=30) == figures.SUM_OVER
