"""Gates of any tool that the policy names, what it blocks or allows, and changes that are asked."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import policies
from approvals.envelope import envelope_of
from approvals.models import Decision, Gate
from runs.errors import ConsentMismatch
from runs.models import Step
from tests.approvals.attacks import refusal
from tests.harness import World, admin, as_role
from tests.zoo import ledger, register

ASKED = {"consent": {"group": "payments", "count": 1}}


def rule(then: Any, name: str = "named", **when: Any) -> dict[str, Any]:
    return {"name": name, "when": {"tool": "register", **when}, "then": then}


def held(world: World) -> Step:
    run = world.start("registering", names=["ada"])
    world.settle()
    return Step.objects.get(run=run, name="register")


def test_a_tool_that_the_policy_names_waits_for_people(world: World) -> None:
    assert held(world).status == "succeeded"
    world.publish(rule(ASKED))
    step = held(world)
    assert (step.status, step.needs_consent, step.is_money) == ("held", True, False)
    gate = Gate.objects.get(step=step)
    assert (gate.amount_minor, gate.currency, gate.payee, gate.tool) == (None, "", "", "register")
    assert envelope_of(gate)["money"] is None
    assert len(ledger("register-called")) == 1
    world.decide(gate, world.bob)
    world.settle()
    step.refresh_from_db()
    assert step.status == "succeeded" and len(ledger("register-called")) == 2


def test_a_tool_that_no_gate_can_hold_is_the_one_that_is_warned_of(world: World) -> None:
    """`add` is safe: the rule that names both is asked about the other one alone."""
    both = {**rule(ASKED), "when": {"tools": ["add", "register"]}}
    version = world.publish(both)
    warned = [said.split("'")[1] for _, said in policies.unheld(version.body)]
    assert warned == ["add"]
    adding = world.start("adding", numbers=[1])
    assert held(world).status == "held"
    assert world.run_now(adding).status == "succeeded"
    assert [gate.tool for gate in Gate.objects.all()] == ["register"]


def test_a_worker_cannot_have_such_a_step_run_without_people(world: World) -> None:
    world.publish(rule(ASKED))
    step = held(world)
    insert = "INSERT INTO runs_step (id, needs_consent) VALUES (gen_random_uuid(), false)"
    assert "permission denied" in refusal(world, "placet_worker", (insert, []))
    update = ("UPDATE runs_step SET needs_consent = false WHERE id = %s", [step.pk])
    assert "permission denied" in refusal(world, "placet_worker", update)
    with admin() as superuser, pytest.raises(Exception, match="step bytes"):
        superuser.execute(*update)
    with admin() as superuser, pytest.raises(Exception, match="runs_step_needs_clearance"):
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE runs_step SET status = 'ready' WHERE id = %s", [step.pk])
    spend = ("UPDATE runs_step SET status = 'running', attempt = 1 WHERE id = %s", [step.pk])
    assert "spend clearance: there is none" in refusal(world, "placet_executor", spend)


def test_the_executor_asks_for_the_consent_itself(world: World) -> None:
    """As if every guard of the database had been passed by."""
    from runs import proofs

    world.publish(rule(ASKED))
    step = held(world)
    with as_role("placet_executor"), pytest.raises(ConsentMismatch, match="has no clearance"):
        proofs.proven(Step.objects.select_related("run").get(pk=step.pk))


def test_a_named_tool_that_no_rule_covers_is_held_and_says_so(world: World) -> None:
    world.publish(rule(ASKED, workflow="another"))
    step = held(world)
    assert step.status == "held" and not Gate.objects.exists()
    assert step.held_because.startswith("No rule of the policy covers register")


def test_what_the_policy_blocks_is_refused_with_its_reason(world: World) -> None:
    world.publish(rule({"block": "Nobody registers anybody."}))
    step = held(world)
    assert (step.status, step.error["kind"]) == ("denied", "Blocked")
    assert "Nobody registers anybody." in step.error["message"]
    assert not Gate.objects.exists() and ledger("register-called") == []


def test_what_the_policy_allows_is_cleared_by_its_words_alone(world: World) -> None:
    world.publish(rule({"allow": {"sample_percent": 100}}))
    step = held(world)
    gate = Gate.objects.get(step=step)
    assert (step.status, gate.status, gate.quorum) == ("succeeded", "approved", 0)
    assert not Decision.objects.exists() and len(ledger("register-called")) == 1


def test_an_allowance_that_is_withdrawn_behind_the_guards_allows_nothing(world: World) -> None:
    """The executor evaluates the policy again: a rule that asks is none that allows."""
    from approvals import consent
    from runs import canonical

    world.publish(rule({"allow": {"sample_percent": 0}}))
    step = held(world)
    with as_role("placet_executor"):
        consent.verify(step, register, canonical.decode(step.arguments))
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_policy SET document = replace(convert_from(document, 'UTF8'),"
            " 'register', 'enlist')::bytea WHERE retired_at IS NULL"
        )
    with as_role("placet_executor"), pytest.raises(ConsentMismatch):
        consent.verify(step, register, canonical.decode(step.arguments))


def test_changes_that_are_asked_for_end_the_gate_and_reach_the_agent(world: World) -> None:
    run = world.start("amending", amount=8000)
    world.settle()
    (first,) = world.gates(run)
    world.decide(first, world.carol)  # one of one: but Bob's word comes before it is counted
    first.refresh_from_db()
    assert first.status == "open"
    world.decide(first, world.bob, "changes", "Half of it, please.")
    world.settle()
    first.refresh_from_db()
    assert first.status == "changes_requested"
    step = Step.objects.get(pk=first.step_id)
    assert step.error == {
        "kind": "ChangesRequested",
        "message": "Half of it, please.",
        "by": "bob",
    }
    second = world.gates(run)[1]
    assert second.supersedes == first
    assert envelope_of(second)["supersedes"] == str(first.id)
    assert (second.amount_minor, second.status) == (4000, "open")
    assert not second.decisions.exists(), "votes are about bytes, and these are others"
    world.decide(second, world.bob)
    world.settle()
    assert world.result(run) == ["Half of it, please.", "paid 4000"]
    assert [entry["amount_minor"] for entry in ledger("paid")] == [4000]
