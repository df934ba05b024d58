"""Effect classes: what is done when nobody knows whether an effect happened."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runs import (
    CannotSay,
    DidNotHappen,
    Happened,
    Money,
    effects,
    limits,
    recovery,
    tool,
    transitions,
    worker,
)
from runs.declare import TOOLS, Tool
from runs.models import Claim, Effect, Event, Run, Step
from tests import zoo
from tests.harness import World, admin, as_role
from tests.runs.test_retries import call, come_to_rest, set_switch
from tests.zoo import ledger


def events(run: Run, kind: str) -> list[Any]:
    from runs import canonical

    found = Event.objects.filter(run=run, kind=kind).order_by("seq")
    return [canonical.decode(bytes(event.body)) for event in found]


# Probed


def test_a_probed_effect_that_happened_is_not_made_again(world: World) -> None:
    run = call(world, "post", letter="a")
    set_switch("post-drops", 1)
    step = come_to_rest(world, run)
    assert (step.status, step.attempt) == ("succeeded", 2)
    assert world.result(run) == {"letter": "a", "known": True}
    assert len(ledger("posted")) == 1
    assert [entry["attempt"] for entry in ledger("probe-called")] == [2]
    assert events(run, "step.succeeded") == [{"probed": True}]
    assert Effect.objects.get(step=step).status == "succeeded"


def test_a_probed_effect_that_did_not_happen_is_made_again_under_its_key(world: World) -> None:
    run = call(world, "post", letter="a")
    set_switch("post-breaks", 1)
    step = come_to_rest(world, run)
    assert (step.status, step.attempt, step.unknowns) == ("succeeded", 2, 1)
    assert len(ledger("posted")) == 1
    keys = {entry["key"] for kind in ("post-called", "probe-called") for entry in ledger(kind)}
    assert keys == {step.key}


def test_without_an_unknown_outcome_nobody_is_asked(world: World) -> None:
    come_to_rest(world, call(world, "post", letter="a"))
    assert ledger("probe-called") == []


@pytest.mark.parametrize("switch", ["probe-cannot-say", "probe-breaks"])
def test_a_provider_that_cannot_say_is_asked_again(world: World, switch: str) -> None:
    run = call(world, "post", letter="a")
    set_switch("post-drops", 1)
    set_switch(switch, 1)
    step = come_to_rest(world, run)
    assert (step.status, step.attempt, step.unknowns) == ("succeeded", 3, 1)
    assert len(ledger("posted")) == 1


def test_a_provider_that_never_says_leaves_a_doubt(world: World) -> None:
    run = call(world, "post", letter="a")
    set_switch("post-drops", 1)
    set_switch("probe-cannot-say", 99)
    step = come_to_rest(world, run)
    assert (step.status, step.attempt) == ("in_doubt", 3)
    assert step.error == {"kind": "ProbeUnclear", "message": "the letter may be on its way"}
    assert len(ledger("posted")) == len(ledger("post-called")) == 1


def test_the_death_of_an_executor_is_an_unknown_outcome(world: World) -> None:
    run = call(world, "post", letter="a")
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        transitions.start_step(step.id, holder="gone", seconds=0.01)
    zoo.note("posted", key=step.key, letter="a")
    time.sleep(0.05)
    step = come_to_rest(world, run)
    assert (step.status, step.attempt, step.deaths) == ("succeeded", 2, 1)
    assert len(ledger("posted")) == 1
    assert ledger("post-called") == []


def test_a_probed_payment_is_proven_again_and_needs_no_second_clearance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs import proofs

    proven = []
    verify = proofs._verifier
    assert verify is not None

    def watched(step: Step, tool: Tool, arguments: dict[str, Any]) -> None:
        proven.append(step.attempt)
        verify(step, tool, arguments)

    monkeypatch.setattr(proofs, "_verifier", watched)
    world.policy(tool="wire")
    run = call(world, "wire", iban="GB29NWBK60161331926819", amount_minor=500, currency="EUR")
    world.settle()
    world.approve_all(run)
    set_switch("wire-drops", 1)
    step = come_to_rest(world, run)
    assert (step.status, step.attempt) == ("succeeded", 2)
    assert proven == [1, 2]
    assert len(ledger("wired")) == len(ledger("bank-asked")) == 1
    assert world.result(run) == {"wired": 500}


def test_nobody_but_the_executor_forgets_that_an_outcome_is_unknown(world: World) -> None:
    """It would have the probe left out, and the effect made twice."""
    import psycopg

    run = call(world, "post", letter="a")
    set_switch("post-drops", 1)
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        effects.execute(step.id)
    step.refresh_from_db()
    assert (step.status, step.unknowns) == ("ready", 1)
    url = world.servers.database_url("placet_worker")
    for change in ("unknowns = 0", "deaths = 9", "give_up_at = now()", "error = '{}'"):
        with psycopg.connect(url) as attacker, pytest.raises(psycopg.Error, match="step role"):
            attacker.execute(f"UPDATE runs_step SET {change} WHERE id = %s", [step.pk])


# What is declared


def test_a_probed_tool_has_a_probe_and_no_other_has_one() -> None:
    def probe(call: Any) -> Any:
        return DidNotHappen()

    with pytest.raises(ValueError, match="A probed tool has a probe="):
        tool(effect="probed")
    with pytest.raises(ValueError, match="A probed tool has a probe="):
        tool(effect="keyed", probe=probe)


def test_a_probe_takes_the_arguments_of_its_tool() -> None:
    def probe(call: Any, *, other: str) -> Any:
        return Happened(other)

    with pytest.raises(ValueError, match="its probe does not take call and the arguments"):

        @tool(effect="probed", probe=probe)
        def ill_probed(call: Any, *, name: str) -> None: ...

    assert "ill_probed" not in TOOLS
    assert CannotSay("x").reason == "x"


@pytest.mark.parametrize("timeout", [0, -1, limits.MAX_TIMEOUT_SECONDS + 1])
def test_a_timeout_is_a_time(timeout: float) -> None:
    with pytest.raises(ValueError, match="An attempt takes more than 0"):

        @tool(effect="keyed", timeout=timeout)
        def untimely(call: Any) -> None: ...


def test_the_digest_of_a_tool_is_what_it_was_before_more_could_be_said() -> None:
    assert set(zoo.pay.declaration) == {"name", "version", "effect", "money", "secret", "schema"}
    slower = zoo.pay.__class__(
        **{**zoo.pay.__dict__, "timeout_seconds": 1.0, "heartbeat_seconds": 1.0}
    )
    assert slower.declaration_digest == zoo.pay.declaration_digest
    undone = zoo.pay.__class__(**{**zoo.pay.__dict__, "undo": zoo.register})
    assert undone.declaration["undo"] == "register"
    assert undone.declaration_digest != zoo.pay.declaration_digest


def test_a_payment_is_never_safe() -> None:
    with pytest.raises(ValueError, match="is not safe: declare it keyed, probed or once"):
        tool(effect="safe", money=Money(amount="a", currency="c", payee="p"))


# Deaths


def die(world: World, step: Step) -> None:
    """An executor takes the step and is lost."""
    with as_role("placet_executor"):
        transitions.start_step(step.id, holder="gone", seconds=0.01)
        time.sleep(0.03)
        assert recovery.recover_lost_steps() == 1


def due_now(step: Step) -> None:
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE runs_step SET not_before = NULL WHERE id = %s", [step.pk])


def test_the_fifth_death_in_one_step_makes_it_poison(world: World) -> None:
    run = call(world, "seat", name="x")
    world.work()
    (step,) = world.steps(run)
    for death in range(1, limits.MAX_DEATHS + 1):
        due_now(step)
        die(world, step)
        step.refresh_from_db()
        assert (step.deaths, step.failures) == (death, 0)
        assert step.status == ("ready" if death < limits.MAX_DEATHS else "in_doubt")
    assert step.error == {
        "kind": "Poison",
        "message": "The executor was lost in 5 attempts of this step.",
    }
    assert events(run, "step.poisoned")[0]["error"] == step.error
    now = world.run_now(run)
    assert now.waiting_for == "a person to look at seat: process after process was lost in it"


def test_workers_lost_at_one_place_quarantine_the_run(world: World) -> None:
    run = world.start("adding", numbers=[1])
    for _ in range(limits.MAX_DEATHS):
        lose_a_worker(run)
    go_on(run)
    now = world.run_now(run)
    assert now.status == "quarantined"
    assert now.error is not None
    assert now.error["kind"] == "Poison"
    assert now.waiting_for.startswith("5 workers were lost one after the other at the same place")
    assert ledger("add") == []


def test_four_deaths_are_no_poison_and_progress_counts_anew(world: World) -> None:
    run = world.start("adding", numbers=[1, 2])
    for _ in range(limits.MAX_DEATHS - 1):
        lose_a_worker(run)
    from runs import journal

    with as_role("placet_owner"):
        journal.append(run.id, "run.resumed", {})  # something happens in the run
    for _ in range(limits.MAX_DEATHS - 2):
        lose_a_worker(run)
    go_on(run)
    assert world.run_now(run).status == "succeeded"
    assert Claim.objects.get(run=run).deaths == limits.MAX_DEATHS - 1


def test_a_run_that_was_parked_in_between_counts_anew(world: World) -> None:
    run = world.start("sleeping", seconds=0.05)
    for _ in range(limits.MAX_DEATHS - 1):
        lose_a_worker(run)
    go_on(run)
    assert world.run_now(run).status == "waiting"
    time.sleep(0.1)
    world.work()
    assert Claim.objects.get(run=run).deaths == 0
    assert world.run_now(run).status == "succeeded"


def lose_a_worker(run: Run) -> None:
    """A worker takes the run and is lost before it has done anything."""
    from runs import claims

    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
    assert claim is not None
    with admin() as superuser:
        superuser.execute(
            "UPDATE runs_claim SET expires_at = clock_timestamp() WHERE run_id = %s", [run.pk]
        )


def go_on(run: Run) -> None:
    """The next worker that finds it."""
    with as_role("placet_worker"):
        worker.advance(run.id)


# Undo


def test_the_undo_of_a_tool_gets_what_it_takes_by_name() -> None:
    declared = zoo.register.__class__(
        **{**zoo.register.__dict__, "name": "registering", "undo": "launch"}
    )
    declared.check_undo()
    assert declared.undo_tool is zoo.launch
    assert declared.undo_arguments({"name": "x"}, {"id": 1}, "k") == {"name": "x"}


@pytest.mark.parametrize(
    ("undo", "why"),
    [
        ("nobody", "undo names 'nobody', and no tool is called so"),
        ("echo", "its undo echo is safe, so it undoes nothing"),
        ("post", "its undo post needs letter, which is neither an argument of it"),
    ],
)
def test_an_undo_that_cannot_be_one_is_refused_at_discovery(undo: str, why: str) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from runs import registry

    before = TOOLS["register"]
    TOOLS["register"] = before.__class__(**{**before.__dict__, "undo": undo})
    try:
        with pytest.raises(ImproperlyConfigured, match=why):
            registry.check_undos()
    finally:
        TOOLS["register"] = before


def test_a_safe_tool_has_no_undo() -> None:
    with pytest.raises(ValueError, match="A safe tool has no effect, so it has no undo"):
        tool(effect="safe", undo="launch")
