"""Past requests under a draft: what would be blocked, asked or allowed that is not so today."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import limits
from approvals.models import Gate
from approvals.rules.facts import Circumstances, Summed
from approvals.rules.replay import Change, Replayed, count, simulate
from runs import canonical
from runs.models import Step
from tests.approvals import former
from tests.approvals.former import OTHER_ACCOUNT, ask, made, payment
from tests.approvals.rules.asking import ALLOW, BLOCK, CONSENT, DAY, document, rule
from tests.harness import World, admin, as_role

TWO = {"consent": {"group": "payments", "count": 2}}
LARGE = {"currency": "EUR", "above_minor": 500}
ASKS = document(rule(CONSENT, "any"))


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    former.prepare()


@pytest.fixture(autouse=True)
def _rules(world: World) -> None:
    former.publish(world)


def replay(world: World, draft: Any, in_force: Any = ASKS, **given: Any) -> list[Replayed]:
    with as_role("placet_web"):
        return list(simulate(tenant=world.tenant, in_force=in_force, draft=draft, **given))


def changes(replayed: list[Replayed]) -> list[str]:
    """Oldest first."""
    return [str(one.change) for one in reversed(replayed)]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (CONSENT, CONSENT, "same"),
        (CONSENT, TWO, "asked otherwise"),
        (CONSENT, ALLOW, "newly allowed"),
        (CONSENT, BLOCK, "newly blocked"),
        (ALLOW, CONSENT, "newly asked"),
        (ALLOW, BLOCK, "newly blocked"),
        (ALLOW, ALLOW, "same"),
        (BLOCK, CONSENT, "newly asked"),
        (BLOCK, ALLOW, "newly allowed"),
        (BLOCK, BLOCK, "same"),
        (None, BLOCK, "same"),
        (None, ALLOW, "newly allowed"),
        (CONSENT, None, "newly blocked"),
    ],
)
def test_a_request_is_told_under_both_policies(
    world: World, before: Any, after: Any, change: str
) -> None:
    (gate,) = ask(world)
    in_force, draft = (document(*([rule(one)] if one else [])) for one in (before, after))
    (one,) = replay(world, draft, in_force)
    assert (one.gate_id, one.step_id) == (gate.id, gate.step_id)
    assert one.change == change
    assert [one.before.kind == "held", one.after.kind == "held"] == [not before, not after]


def test_the_explanation_of_each_match_is_told(world: World) -> None:
    ask(world, payment(400))
    ask(world, payment(600))
    draft = document(rule(BLOCK, "large", amount=LARGE), rule(CONSENT, "any"))
    replayed = replay(world, draft)
    assert changes(replayed) == ["same", "newly blocked"]
    assert replayed[0].after.because == (
        "The rule 'large' blocks it: Not here. 6.00 EUR is above 5.00 EUR."
    )
    assert [one.name for one in replayed[1].after.tried] == ["large", "any"]
    assert count(replayed) == {
        Change.BLOCKED: 1,
        Change.ASKED: 0,
        Change.OTHERWISE: 0,
        Change.ALLOWED: 0,
        Change.SAME: 1,
    }


def test_what_was_not_recorded_is_counted_as_of_then(world: World) -> None:
    """Of three payments of 400 in a day, the third was the first above 1,000."""
    for _ in range(3):
        made(world, 400, days_ago=0)
    a_sum = {"by": "payee", "currency": "EUR", "window_seconds": DAY, "above_minor": 1000}
    draft = document(rule(TWO, "sum", sum=a_sum), rule(CONSENT, "any"))
    assert changes(replay(world, draft)) == ["same", "same", "asked otherwise"]
    new = document(rule(TWO, "new", payee={"first_seen": True}), rule(CONSENT, "any"))
    assert changes(replay(world, new)) == ["asked otherwise", "same", "same"]


def test_what_was_recorded_is_believed(world: World) -> None:
    (gate,) = ask(world, payment(400))
    a_sum = {"by": "payee", "currency": "EUR", "window_seconds": DAY, "above_minor": 1000}
    draft = document(rule(TWO, "sum", sum=a_sum), rule(CONSENT, "any"))
    assert changes(replay(world, draft)) == ["same"]
    key = ("payee", "EUR", DAY)
    record(gate, Circumstances(sums={key: Summed(amount_minor=601)}))
    assert changes(replay(world, draft)) == ["asked otherwise"]
    record(gate, Circumstances(sums={key: Summed(amount_minor=600)}))
    assert changes(replay(world, draft)) == ["same"]
    with as_role("placet_web"), CaptureQueriesContext(connection) as caught:
        list(simulate(tenant=world.tenant, in_force=ASKS, draft=draft))
        assert not any("unnest" in one["sql"] for one in caught)


def record(gate: Gate, known: Circumstances) -> None:
    """Puts circumstances into the envelope of a gate, behind the guards."""
    told = canonical.decode(Gate.objects.get(pk=gate.pk).envelope)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_gate SET envelope = %s WHERE id = %s",
            [
                canonical.encode(told | {"circumstances": told["circumstances"] | known.as_json()}),
                gate.id,
            ],
        )


def test_free_text_is_seen_by_the_declaration_of_the_tool(world: World) -> None:
    ask(world, payment(1, note=""), payment(2))
    draft = document(rule(BLOCK, "text", free_text=True), rule(CONSENT, "any"))
    replayed = replay(world, draft)
    assert sorted(changes(replayed)) == ["newly blocked", "same"]
    (blocked,) = [one for one in replayed if one.change == Change.BLOCKED]
    assert blocked.after.because.endswith("The payment carries free text in note.")


def test_what_is_held_without_a_gate_is_replayed_too(world: World) -> None:
    run = world.start("transferring", payments=[payment(100, currency="USD")])
    world.settle()
    (step,) = Step.objects.filter(run=run)
    assert (step.status, Gate.objects.count()) == ("held", 0)
    (one,) = replay(world, ASKS, document())
    assert (one.step_id, one.gate_id, one.change) == (step.id, None, "newly asked")
    assert one.before.because == (
        "No rule of the policy covers transfer of 1.00 USD, so nobody may clear it."
    )


def test_only_the_newest_of_one_tenant_are_replayed(world: World) -> None:
    first, second = ask(world)[0], ask(world)[0]
    assert [one.gate_id for one in replay(world, ASKS)] == [second.id, first.id]
    assert [one.gate_id for one in replay(world, ASKS, most=1)] == [second.id]
    with as_role("placet_web"):
        assert list(simulate(tenant="somebody-else", in_force=ASKS, draft=ASKS)) == []


@pytest.mark.parametrize("most", [0, limits.MAX_SIMULATED + 1])
def test_there_is_a_limit_to_what_is_replayed(world: World, most: int) -> None:
    with pytest.raises(ValueError, match="From 1 to 5000 past requests can be"):
        replay(world, ASKS, most=most)


def test_a_replay_writes_nothing(world: World) -> None:
    ask(world, payment(100, iban=OTHER_ACCOUNT))
    with admin() as superuser, as_role("placet_web"), connection.cursor() as cursor:
        assert superuser is not None
        cursor.execute("SET default_transaction_read_only = on")
        draft = document(rule(TWO, "new", payee={"first_seen": True}))
        (one,) = simulate(tenant=world.tenant, in_force=ASKS, draft=draft)
        cursor.execute("SET default_transaction_read_only = off")
    assert one.change == Change.OTHERWISE
