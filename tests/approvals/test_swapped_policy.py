"""A policy that is swapped between consent and clearance: the gate keeps what it was asked by, and
what the policy in force blocks is not paid."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from approvals import closing
from approvals.models import Gate, Policy
from runs.models import Step
from tests.approvals.attacks import ALL_PROCESSES, clearing, parked, refusal
from tests.harness import World, admin
from tests.zoo import ledger


def asked_of_two(world: World) -> tuple[Gate, Policy]:
    """A gate that asks two, with the consent of one; and the policy, published since, that asks
    one for the same."""
    world.publish(asking(2))
    gate = parked(world)
    world.decide(gate, world.bob)
    weaker = world.publish(asking(1))
    assert gate.policy_id != weaker.pk
    return gate, weaker


def asking(count: int) -> dict[str, Any]:
    consent = {"thresholds": [{"group": "payments", "count": count}]}
    return {"name": "the rule", "when": {"tools": ["pay"]}, "then": {"consent": consent}}


def swap(gate: Gate, **columns: Any) -> None:
    """Behind every guard, as nobody but a superuser can."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        for column, value in columns.items():
            superuser.execute(
                f"UPDATE approvals_gate SET {column} = %s WHERE id = %s",
                [value, gate.id],
            )


def said_of(gate: Gate) -> tuple[str, str]:
    return Gate.objects.get(pk=gate.pk).status, Step.objects.get(pk=gate.step_id).status


def test_a_weaker_policy_published_since_does_not_clear_it(world: World) -> None:
    gate, _ = asked_of_two(world)
    world.settle()
    assert said_of(gate) == ("open", "held")
    world.decide(gate, world.carol)
    world.settle()
    assert said_of(gate) == ("approved", "succeeded")


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_no_process_puts_another_policy_under_a_gate(world: World, role: str) -> None:
    gate, weaker = asked_of_two(world)
    for column, value in (("policy_id", weaker.pk), ("needs", "{}"), ("rule", 0)):
        attack = (f"UPDATE approvals_gate SET {column} = %s WHERE id = %s", [value, gate.id])
        assert "permission denied for table approvals_gate" in refusal(world, role, attack)
    with admin() as superuser, pytest.raises(psycopg.Error, match="gate bytes"):
        superuser.execute("UPDATE approvals_gate SET policy_id = %s", [weaker.pk])


def test_lock_2_refuses_needs_that_are_not_those_of_the_policy(world: World) -> None:
    gate, weaker = asked_of_two(world)
    swap(gate, needs=json.dumps(weaker.body["rules"][gate.rule]["then"]))
    answer = refusal(world, "placet_gatekeeper", *clearing(gate))
    assert "lock 2: the gate does not ask for what its policy asks for" in answer


def test_the_executor_finds_a_policy_that_was_swapped_with_all_that_hangs_on_it(
    world: World,
) -> None:
    gate, weaker = asked_of_two(world)
    rule = [one["name"] for one in weaker.body["rules"]].index(gate.rule_name)
    needs = weaker.body["rules"][rule]["then"]
    swap(gate, policy_id=weaker.pk, rule=rule, needs=json.dumps(needs), quorum=1)
    world.settle()
    step = Step.objects.get(pk=gate.step_id)
    assert "not what the gate was about; nothing was sent" in step.error["message"]
    assert ledger("pay-called") == []


BLOCK = {"name": "never", "when": {"tools": ["pay"]}, "then": {"block": {"reason": "Not there."}}}
OTHERS = asking(1) | {"when": {"tools": ["charge"]}}


def test_what_the_policy_blocks_since_is_refused_instead_of_cleared(world: World) -> None:
    gate, _ = asked_of_two(world)
    world.publish(BLOCK)
    world.settle()
    assert said_of(gate) == ("open", "held")
    world.decide(gate, world.carol)
    world.settle()
    assert said_of(gate) == ("denied", "denied")
    error = Step.objects.get(pk=gate.step_id).error
    assert (error["kind"], "Not there." in error["message"]) == ("Blocked", True)
    assert ledger("pay-called") == []


def test_what_is_blocked_while_the_gatekeeper_verifies_is_refused_as_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, _ = asked_of_two(world)
    blocking = world.publish(BLOCK)
    in_force(gate.policy_id, instead_of=blocking.pk)
    world.decide(gate, world.carol)
    verify = closing._is_enough

    def verify_and_be_late(*asked: Any) -> bool:
        is_enough = verify(*asked)
        in_force(blocking.pk, instead_of=gate.policy_id)
        return is_enough

    monkeypatch.setattr(closing, "_is_enough", verify_and_be_late)
    world.keep_gates()
    assert said_of(gate) == ("denied", "denied")
    error = Step.objects.get(pk=gate.step_id).error
    assert (error["kind"], "Not there." in error["message"]) == ("Blocked", True)


def in_force(policy: Any, *, instead_of: Any) -> None:
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_policy SET retired_at = clock_timestamp() WHERE id = %s", [instead_of]
        )
        superuser.execute("UPDATE approvals_policy SET retired_at = NULL WHERE id = %s", [policy])


def test_what_no_rule_covers_any_more_stays_held_until_one_does(world: World) -> None:
    gate, _ = asked_of_two(world)
    world.publish(OTHERS)
    world.decide(gate, world.carol)
    world.settle()
    assert said_of(gate) == ("open", "held")
    assert "No rule of the policy" in Step.objects.get(pk=gate.step_id).held_because
    world.publish(asking(1))
    world.settle()
    assert said_of(gate) == ("approved", "succeeded")


@pytest.mark.parametrize(
    ("rule", "said"),
    [(BLOCK, "The policy blocks it since:"), (OTHERS, "The policy covers it no more:")],
    ids=["blocks", "covers-no-more"],
)
def test_the_executor_does_not_send_what_the_policy_blocks_since_it_was_cleared(
    world: World, rule: dict[str, Any], said: str
) -> None:
    gate, _ = asked_of_two(world)
    world.decide(gate, world.carol)
    world.keep_gates()
    assert said_of(gate) == ("approved", "ready")
    world.publish(rule)
    world.settle()
    assert said in Step.objects.get(pk=gate.step_id).error["message"]
    assert ledger("pay-called") == []
