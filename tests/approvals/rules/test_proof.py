"""A gatekeeper that tells of milder circumstances gets nothing out: the executor reads rows too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from approvals import asking
from approvals.envelope import envelope_of
from approvals.models import Gate
from approvals.rules import proof
from approvals.rules.circumstances import read_circumstances
from approvals.rules.facts import Circumstances, Summed, free_text_of
from runs.clock import database_now
from runs.models import Step
from tests.approvals import former
from tests.approvals.former import OTHER_ACCOUNT, ask, made, payment
from tests.approvals.rules.asking import BLOCK, CONSENT, DAY, rule
from tests.approvals.rules.test_circumstances import publish
from tests.harness import World, as_role

SUM = {"by": "payee", "currency": "EUR", "window_seconds": DAY, "above_minor": 1000}


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    former.prepare()


@pytest.fixture(autouse=True)
def _rules(world: World) -> None:
    former.publish(world)


def lie(monkeypatch: pytest.MonkeyPatch, **told: Any) -> None:
    """The gatekeeper alone tells of other circumstances than it has read."""

    def lying(*given: Any) -> Circumstances:
        return replace(read_circumstances(*given), **told)

    monkeypatch.setattr(asking, "read_circumstances", lying)


def no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    lie(monkeypatch, sums={("payee", "EUR", DAY): Summed(amount_minor=0)})


def known(monkeypatch: pytest.MonkeyPatch) -> None:
    lie(monkeypatch, first_seen=False)


def same_account(monkeypatch: pytest.MonkeyPatch) -> None:
    lie(monkeypatch, account_changed=False)


def nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    lie(monkeypatch, changed={"note": False})


def compared(monkeypatch: pytest.MonkeyPatch) -> None:
    lie(monkeypatch, compared_with="a gate", changed={"iban": False})


def no_free_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "free_text_of", lambda *_: ())


MILDER = "The gate tells of milder circumstances than there were. "
Lie = tuple[Callable[[pytest.MonkeyPatch], None], dict[str, Any], str]
LIES: list[Lie] = [
    (no_sum, {"sum": SUM}, MILDER + "The rule 'strict' blocks it: Not here. The payments to this"),
    (known, {"payee": {"first_seen": True}}, MILDER + "The rule 'strict' blocks it: Not here. No"),
    (same_account, {"payee": {"account_changed": True}}, MILDER + "The rule 'strict' blocks it: "),
    (nothing_changed, {"changed": "note"}, MILDER + "The rule 'strict' blocks it: Not here. note"),
    (compared, {"changed": "iban"}, MILDER + "The rule 'strict' blocks it: Not here. There is no"),
    (no_free_text, {"free_text": True}, "The request carries other free text than its gate tells."),
]


def set_the_scene(world: World, when: dict[str, Any], then: Any) -> dict[str, Any]:
    """What is asked for is what `when` is about; returns the payment."""
    made(world, 900, note="other", days_ago=0, creditor="ACME", iban=former.ACCOUNT)
    strict = rule(BLOCK, "strict", **when)
    publish(world, strict, rule(then, "else"))
    if when.get("payee") == {"account_changed": True}:
        return payment(200, iban=OTHER_ACCOUNT)
    if when.get("payee") == {"first_seen": True}:
        return payment(200, iban=OTHER_ACCOUNT, creditor="New")
    if when.get("changed") == "iban":
        return payment(200, creditor="New")
    return payment(200)


@pytest.mark.parametrize("one", LIES, ids=lambda one: one[0].__name__)
@pytest.mark.parametrize("then", ["allow", CONSENT], ids=["allow", "consent"])
def test_a_lie_about_circumstances_pays_nothing(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    one: Lie,
    then: Any,
) -> None:
    """Told truly, the request is blocked; told otherwise, its gate is opened and cleared."""
    tell, when, says = one
    asked = set_the_scene(world, when, then)
    truly = world.start("transferring", payments=[asked])
    world.settle()
    assert Step.objects.get(run=truly).status == "denied"
    tell(monkeypatch)
    (gate,) = ask(world, asked)
    if then == CONSENT:
        world.decide(gate, world.bob)
        world.settle()
    assert (Gate.objects.get(pk=gate.pk).status, gate.rule_name) == ("approved", "else")
    step = Step.objects.get(pk=gate.step_id)
    assert step.status == "failed"
    assert step.error is not None
    assert step.error["kind"] == "ConsentMismatch"
    assert step.error["message"].startswith(says)
    assert step.error["message"].endswith("Nothing was sent.")


@pytest.mark.parametrize("one", LIES, ids=lambda one: one[0].__name__)
def test_without_the_second_reading_a_lie_pays(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    one: Lie,
) -> None:
    tell, when, says = one
    asked = set_the_scene(world, when, "allow")
    tell(monkeypatch)
    monkeypatch.setattr(proof, "untrue", lambda *_, **__: "")
    (gate,) = ask(world, asked)
    assert Step.objects.get(pk=gate.step_id).status == "succeeded", says


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_a_gate_that_tells_of_another_moment_pays_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Such as one within working hours."""
    publish(world, rule("allow", "any"))
    monkeypatch.setattr(asking, "database_now", lambda: database_now() + timedelta(hours=hours))
    (gate,) = ask(world)
    step = Step.objects.get(pk=gate.step_id)
    assert step.status == ("succeeded" if hours == 0 else "failed")
    if hours:
        assert step.error is not None
        assert step.error["message"] == (
            "The gate tells of another moment than the one at which it was opened."
            " Nothing was sent."
        )


def test_what_was_told_stricter_than_it_is_is_paid(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another payment ended between the gatekeeper's look and the moment it names."""
    made(world, 100, days_ago=0)
    publish(world, rule(CONSENT, "new", payee={"first_seen": True}), rule("allow", "else"))
    lie(monkeypatch, first_seen=True)
    (gate,) = ask(world, payment(200))
    assert gate.rule_name == "new"
    world.decide(gate, world.bob)
    world.settle()
    assert Step.objects.get(pk=gate.step_id).status == "succeeded"


def test_what_happens_later_takes_nothing_back(world: World) -> None:
    """The payment that was first when its gate was opened stays so, and its sum stays small."""
    publish(
        world,
        rule({"consent": {"group": "payments", "count": 2}}, "much", sum=SUM),
        rule(CONSENT, "new", payee={"first_seen": True}),
        rule("allow", "else"),
    )
    (gate,) = ask(world, payment(600))
    (other,) = ask(world, payment(600))
    assert (gate.rule_name, other.rule_name) == ("new", "much")
    for person in (world.bob, world.carol):
        world.decide(other, person)
    world.settle()
    world.decide(gate, world.bob)
    world.settle()
    assert [Step.objects.get(pk=one.step_id).status for one in (gate, other)] == ["succeeded"] * 2


def test_rows_are_read_only_where_a_rule_needs_them(world: World) -> None:
    (gate,) = ask(world)
    told = envelope_of(gate)
    declaration = former.transfer.declaration
    assert told["circumstances"]["free_text"] == list(free_text_of(declaration, told["arguments"]))
    with as_role("placet_executor"):
        assert not proof.untrue(
            told,
            document=gate.policy.body,
            rule=gate.rule,
            declaration=declaration,
            agent="clerk",
            gate_id=gate.id,
            opened_at=gate.opened_at,
        )
