"""Waiting costs rows, not processes (P10): two hundred runs at gates hold no thread more."""

from __future__ import annotations

import pytest

from approvals.models import Gate
from runs.models import Run
from tests.bench import place
from tests.harness import World
from tests.servers import Servers
from tests.stack import Stack

pytestmark = pytest.mark.processes

RUNS = 200
LAZY = 5
"""A process may still start a thread, or open a connection, that it makes once; one a run
would be 200."""


def test_runs_at_gates_hold_no_process_no_thread_and_no_claim(
    world: World, servers: Servers
) -> None:
    with Stack(servers) as stack:
        parents = [process.pid for process in stack.processes.values()]
        warm_up(world, stack)
        before = place.threads_of(parents), connections(servers)
        for _ in range(RUNS):
            world.start("paying", amounts=[100])
        stack.wait_until(lambda: Gate.objects.filter(status="open").count() == RUNS, "all gates")
        # Each run lets go of its worker after its gate's step was held.
        stack.wait_until(
            lambda: Run.objects.filter(status="waiting").count() == RUNS, "all runs to wait"
        )
        processes, threads = place.threads_of(parents)
        assert processes == before[0][0]
        assert threads < before[0][1] + LAZY
        assert connections(servers) < before[1] + LAZY
        held = "SELECT count(*) FROM runs_claim WHERE holder <> ''"
        assert place.ask(servers, held) == 0
        waits = set(Run.objects.values_list("waiting_for", flat=True).filter(status="waiting"))
        assert waits == {"a payment to be decided and made"}


def warm_up(world: World, stack: Stack) -> None:
    """Every process has worked once, and has all threads and connections that it ever has."""
    runs = [world.start("adding", numbers=[1] * 20) for _ in range(8)]
    runs += [world.start("registering", names=["a", "b", "c", "d"]) for _ in range(8)]
    stack.wait_until(
        lambda: Run.objects.filter(status="succeeded").count() == len(runs), "the first runs"
    )
    payment = world.start("paying", amounts=[100])
    stack.wait_until(lambda: Gate.objects.filter(run=payment).exists(), "the first gate")
    world.approve_all(payment)
    stack.wait_until(lambda: world.run_now(payment).status == "succeeded", "the first payment")


def connections(servers: Servers) -> int:
    """Those of the processes; the test's own come and go."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ %s"
    return int(place.ask(servers, query, "^placet-(worker|gatekeeper|executor)$"))
