"""The broker is disposable: without Valkey no run is lost and nothing is paid twice."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from approvals.models import Gate
from runs.models import Run
from tests.harness import World
from tests.servers import Servers
from tests.stack import Stack
from tests.zoo import ledger

RUNS = 50


def approve_what_is_open(world: World, most: int = 1000) -> int:
    """Bob approves what waits; stands for people who go on working all the while."""
    gates = list(Gate.objects.filter(status="open", decisions=None)[:most])
    for gate in gates:
        world.decide(gate, world.bob)
    return len(gates)


def ended() -> int:
    return Run.objects.filter(status="succeeded").count()


@pytest.mark.processes
def test_valkey_stopped_emptied_and_started_again_loses_no_run(
    world: World, servers: Servers
) -> None:
    """Fifty runs in all stages: not begun, sleeping, at gates, cleared, being paid, ending."""
    with Stack(servers) as stack:
        try:
            for _ in range(RUNS):
                world.start("everything", amount_minor=100)
            stack.wait_until(lambda: Gate.objects.count() >= 5, "gates to open")
            approve_what_is_open(world, most=3)
            servers.valkey.kill()
            approve_what_is_open(world, most=5)
            for _ in range(3):
                world.start("everything", amount_minor=100)
            time.sleep(1)
            servers.valkey.start()

            def all_have_ended() -> bool:
                approve_what_is_open(world)
                return ended() == RUNS + 3

            stack.wait_until(all_have_ended, "all runs to end", seconds=90)
        finally:
            if not servers.valkey.is_ready():
                servers.valkey.start()
    keys = [entry["key"] for entry in ledger("paid")]
    assert len(keys) == len(set(keys)) == RUNS + 3
    assert len(ledger("pay-called")) == RUNS + 3


@pytest.mark.processes
@pytest.mark.parametrize("role", ["worker", "executor"])
def test_a_process_killed_under_load_is_taken_over(
    world: World, servers: Servers, role: str
) -> None:
    with Stack(servers) as stack:
        for _ in range(10):
            world.start("everything", amount_minor=100)
        _wait_for_gates(stack)
        stack.kill(role)
        _approve_until(stack, world, lambda: ended() == 10)
    keys = [entry["key"] for entry in ledger("paid")]
    assert len(keys) == len(set(keys)) == 10


def _wait_for_gates(stack: Stack) -> None:
    stack.wait_until(Gate.objects.exists, "a gate to open")


def _approve_until(stack: Stack, world: World, is_so: Callable[[], bool]) -> None:
    def worked() -> bool:
        approve_what_is_open(world)
        return is_so()

    stack.wait_until(worked, "all runs to end", seconds=60)
