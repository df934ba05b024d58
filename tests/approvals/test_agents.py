"""Agents: declared with the workflow, kept by the run, asked about by policies, proven at last."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured

from approvals import asking
from approvals.envelope import envelope_of
from approvals.models import Gate
from approvals.rules.facts import Request
from runs import registry, workflow
from runs.forks import fork
from runs.models import Run, Step, WorkflowDeclaration
from tests.approvals.attacks import PROCESSES, refusal
from tests.approvals.rules.asking import BLOCK, CONSENT, DAY, rule
from tests.harness import World, as_role
from tests.pages.visitors import Page, visit_as
from tests.zoo import ledger

NOBODY_SAID = "The request does not say which agent it comes from: its workflow declares none."


def parked(world: World, name: str = "clerking", *amounts: int) -> Run:
    run = world.start(name, amounts=list(amounts or (5000,)))
    world.settle()
    return run


def held_because(run: Run) -> str:
    return Step.objects.get(run=run, name="pay").held_because


# What a policy asks about


def test_a_rule_about_agents_asks_about_the_runs_of_theirs_and_pays(world: World) -> None:
    world.publish(rule(CONSENT, "The clerk pays", agent="clerk", tool="pay"))
    run = parked(world)
    (gate,) = world.gates(run)
    assert gate.rule_name == "The clerk pays"
    assert envelope_of(gate)["circumstances"]["agent"] == "clerk"
    page = Page(visit_as(world.bob).get(f"/gates/{gate.pk}/"))
    assert "clerk" in page.texts("dd") and "The agent is clerk" in page.text
    world.decide(gate, world.bob)
    world.settle()
    assert len(ledger("paid")) == 1


def test_another_agents_rule_does_not_match_and_the_next_one_decides(world: World) -> None:
    world.publish(
        rule(BLOCK, "Not the boss", agent="boss", tool="pay"),
        rule(CONSENT, "All others", tool="pay"),
    )
    (gate,) = world.gates(parked(world))
    assert gate.rule_name == "All others"


def test_where_a_workflow_declares_no_agent_a_rule_about_agents_holds_it_and_says_why(
    world: World,
) -> None:
    world.publish(
        rule(BLOCK, "Not the boss", agent="boss", tool="pay"),
        rule(CONSENT, "All others", tool="pay"),
    )
    run = parked(world, "paying")
    assert not world.gates(run)
    assert NOBODY_SAID in held_because(run)
    world.publish(
        rule(BLOCK, "Not the boss", agent="boss", workflow="clerking", tool="pay"),
        rule(CONSENT, "All others", tool="pay"),
    )
    world.settle()
    (gate,) = world.gates(run)
    assert gate.rule_name == "All others"
    page = Page(visit_as(world.bob).get(f"/gates/{gate.pk}/"))
    assert "the workflow declares none" in page.texts("dd")


def test_a_child_acts_for_the_agent_of_its_own_workflow(world: World) -> None:
    world.publish(rule(CONSENT, "The clerk pays", agent="clerk", tool="pay"))
    parent = parked(world, "employing")
    child = Run.objects.get(parent=parent)
    assert (world.run_now(parent).agent, child.agent) == ("", "clerk")
    assert [gate.rule_name for gate in world.gates(child)] == ["The clerk pays"]


def test_the_sum_of_an_agent_counts_all_of_its_runs_and_no_others(world: World) -> None:
    amount = {"by": "agent", "currency": "EUR", "window_seconds": DAY, "above_minor": 10_000}
    world.publish(
        rule(BLOCK, "Too much", agent="clerk", sum=amount, tool="pay"),
        rule(CONSENT, "Little", tool="pay", workflows=["clerking", "paying"]),
    )
    first, second = parked(world, "clerking", 6000), parked(world, "clerking", 4000)
    assert [gate.rule_name for run in (first, second) for gate in world.gates(run)] == [
        "Little",
        "Little",
    ]
    third = parked(world, "clerking", 1)
    assert not world.gates(third)
    step = Step.objects.get(run=third, name="pay")
    assert "The payments of this agent within 1 day are 100.01 EUR" in str(step.error)


# Who says which agent it is


def again(**said: Any) -> None:
    """Registers the workflow of the clerk as it would be after a release."""
    declared = registry.collect()
    for one in declared["workflows"]:
        if one["name"] == "clerking":
            one.update(said)
    with as_role("placet_owner"):
        registry.register(declared)


@pytest.mark.parametrize("version", [1, 2])
def test_a_run_keeps_the_agent_of_its_version_and_so_does_a_fork_of_the_same_version(
    world: World, version: int
) -> None:
    before = parked(world)
    try:
        again(version=version, agent="boss")
        after = world.start("clerking", amounts=[1])
        with as_role("placet_web"):
            forked = fork(run=world.run_now(before), at=0, requested_by=world.alice)
    finally:
        again()
    assert [world.run_now(run).agent for run in (before, after)] == ["clerk", "boss"]
    assert world.run_now(forked).version == version
    assert world.run_now(forked).agent == ("clerk" if version == 1 else "boss")


@pytest.mark.parametrize(
    ("name", "version", "agent"), [("paying", 1, ""), ("clerking", 1, "clerk"), ("clerking", 7, "")]
)
def test_whoever_starts_a_run_does_not_say_whose_it_is(
    world: World, name: str, version: int, agent: str
) -> None:
    made = world.start("paying", amounts=[])
    with psycopg.connect(world.servers.database_url("placet_web")) as web:
        web.execute(
            "INSERT INTO runs_run (id, tenant, workflow, version, agent, status, input,"
            " requested_by_id, seed, waiting_for, progress_done, progress_total, progress_note,"
            " cancel_requested_by) SELECT gen_random_uuid(), tenant, %s, %s, 'boss', 'ready',"
            " input, requested_by_id, seed, '', 0, 0, '', '' FROM runs_run WHERE id = %s",
            [name, version, made.pk],
        )
    assert Run.objects.exclude(pk=made.pk).get().agent == agent


@pytest.mark.parametrize("role", [*PROCESSES, "placet_gatekeeper"])
def test_no_process_gives_a_run_to_another_agent(world: World, role: str) -> None:
    world.start("paying", amounts=[])
    attack = ("UPDATE runs_run SET agent = 'clerk'", [])
    assert "permission denied for table runs_run" in refusal(world, role, attack)
    assert "run identity: what was asked for" in refusal(world, "placet_owner", attack)


def test_a_gatekeeper_that_names_another_agent_gets_nothing_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publish(rule("allow", "The clerk pays", agent="clerk", tool="pay"))
    run = world.start("paying", amounts=[5000])
    monkeypatch.setattr(asking, "Request", lambda **told: Request(**told | {"agent": "clerk"}))
    world.settle()
    assert Gate.objects.get(run=run).status == "approved"
    assert ledger("paid") == []
    said = "The gate tells of another agent than its run is of. Nothing was sent."
    assert said in str(Step.objects.get(run=run, name="pay").error)


# What an author declares


def test_the_agent_is_declared_and_registered(world: World) -> None:
    (told,) = (one for one in registry.collect()["workflows"] if one["name"] == "clerking")
    assert told["agent"] == "clerk"
    assert WorkflowDeclaration.objects.get(name="clerking").agent == "clerk"
    assert WorkflowDeclaration.objects.get(name="paying").agent == ""


@pytest.mark.parametrize("agent", [" clerk", "cle\u202erk", "c" * 129])
def test_an_agent_has_a_name_that_people_can_read(world: World, agent: str) -> None:
    with pytest.raises(ValueError, match="a name has at most 128 printable characters"):
        workflow("never", version=1, agent=agent)
    with pytest.raises(ImproperlyConfigured, match="a name has at most 128 printable"):
        again(agent=agent)
