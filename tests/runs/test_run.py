"""A run from start to end, each process under its own role."""

from __future__ import annotations

from tests.harness import World
from tests.zoo import ledger


def test_a_run_of_safe_steps_succeeds(world: World) -> None:
    run = world.start("adding", numbers=[1, 2, 3])
    world.settle()
    assert world.run_now(run).status == "succeeded"
    assert world.result(run) == 6
    assert [entry["b"] for entry in ledger("add")] == [1, 2, 3]


def test_a_payment_waits_at_its_gate_and_happens_once_after_consent(world: World) -> None:
    run = world.park_at_gates(5000)
    assert world.run_now(run).status == "waiting"
    assert [gate.status for gate in world.gates(run)] == ["open"]
    assert ledger("pay-called") == []
    world.approve_all(run, world.bob)
    world.settle()
    assert world.run_now(run).status == "succeeded", world.run_now(run).error
    assert world.result(run) == {"outcomes": ["paid 5000"]}
    assert len(ledger("paid")) == len(ledger("pay-called")) == 1
