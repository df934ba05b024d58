"""What a gate's answer says of the payments before it."""

from __future__ import annotations

import pytest

from tests.api import callers
from tests.approvals import former
from tests.approvals.former import OTHER_ACCOUNT, ask, made, payment
from tests.harness import World


@pytest.fixture(scope="module", autouse=True)
def _declared(_registered: None) -> None:
    former.prepare()


@pytest.fixture(autouse=True)
def _rules(world: World) -> None:
    former.publish(world)


def test_a_gate_without_a_past_says_so(world: World) -> None:
    (gate,) = ask(world)

    shown = callers.with_token(world.dave).get(f"gates/{gate.id}").json()

    (fact,) = shown["history"]
    assert fact["kind"] == "first_payment" and fact["is_unusual"] is True
    assert fact["sentence"] == "This is the first payment to this account."
    assert fact["count"] is fact["amount_minor"] is fact["gate_id"] is None
    assert shown["differs"] is None


def test_facts_come_as_sentences_with_their_figures(world: World) -> None:
    for days_ago in (40, 41, 42):
        made(world, 2350, days_ago=days_ago)
    last = made(world, 100, days_ago=39, iban=OTHER_ACCOUNT)
    (gate,) = ask(world, payment(9870, note="more"))

    shown = callers.with_token(world.bob).get(f"gates/{gate.id}").json()

    facts = {fact["kind"]: fact for fact in shown["history"]}
    assert [fact["is_unusual"] for fact in shown["history"]] == [True, True, False]
    factor = facts["above_median"]
    assert (factor["factor"], factor["count"]) == ("4.2", 3)
    assert (factor["amount_minor"], factor["currency"]) == (2350, "EUR")
    changed = facts["account_changed"]
    assert (changed["payee"], changed["gate_id"]) == (OTHER_ACCOUNT, str(last.id))
    assert changed["at"].endswith("Z")
    assert facts["known_account"]["count"] == 3


def test_what_differs_comes_with_both_values(world: World) -> None:
    last = made(world, 900, days_ago=40)
    (gate,) = ask(world, payment(1000))

    differs = callers.with_token(world.bob).get(f"gates/{gate.id}").json()["differs"]

    assert differs["gate_id"] == str(last.id)
    assert differs["same_count"] == 4
    assert differs["changes"] == [
        {"name": "amount_minor", "before": 900, "now": 1000, "was_given": True, "is_given": True}
    ]
