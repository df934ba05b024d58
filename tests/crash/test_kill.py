"""kill -9 after every commit and around every outside call of a paying run, one by one.

The points are enumerated, not sampled: an undisturbed run tells which there are, and each
of them gets a run of its own in which the process is killed just there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from approvals.models import Gate
from runs.models import Run
from tests.crash.nursery import POINTS
from tests.harness import World
from tests.servers import Servers
from tests.zoo import ledger

ROLES = ("worker", "gatekeeper", "executor")
CLAIM_SECONDS = "0.4"
SECONDS = 30.0


class Crew:
    """One nursery for each process, with exactly that process's environment."""

    def __init__(self, servers: Servers, outside: str) -> None:
        self.reached = {role: Path(outside) / f"points-{role}" for role in ROLES}
        self.nurseries = {
            role: subprocess.Popen(
                [sys.executable, "-m", "tests.crash.nursery"],
                env=servers.environment(role)
                | {
                    "PLACET_TEST_WORLD": outside,
                    "PLACET_WORKFLOWS": "tests.zoo",
                    "PLACET_CLAIM_SECONDS": CLAIM_SECONDS,
                    "PLACET_PROCESS": role,
                    POINTS: str(self.reached[role]),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for role in ROLES
        }

    def turn(self, role: str, crash_at: int = 0) -> int:
        nursery = self.nurseries[role]
        assert nursery.stdin is not None and nursery.stdout is not None
        nursery.stdin.write(f"{crash_at}\n")
        nursery.stdin.flush()
        return int(nursery.stdout.readline())

    def points(self, role: str) -> list[str]:
        path = self.reached[role]
        return path.read_text().splitlines() if path.exists() else []

    def forget_points(self) -> None:
        for path in self.reached.values():
            path.unlink(missing_ok=True)

    def dismiss(self) -> None:
        for nursery in self.nurseries.values():
            assert nursery.stdin is not None and nursery.stdout is not None
            nursery.stdin.close()
            nursery.wait(10)
            nursery.stdout.close()


@pytest.fixture
def crew(world: World, servers: Servers) -> Iterator[Crew]:
    made = Crew(servers, os.environ["PLACET_TEST_WORLD"])
    yield made
    made.dismiss()


def drive(world: World, crew: Crew, run: Run, killed: str = "", crash_at: int = 0) -> bool:
    """Plays all processes until the run has ended; returns whether the kill took place."""
    was_killed = False
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for role in ROLES:
            code = crew.turn(role, crash_at if role == killed and not was_killed else 0)
            if code == -9:
                was_killed = True
            else:
                assert code == 0, f"{role} ended with {code}"
        for gate in Gate.objects.filter(run=run, status="open", decisions=None):
            world.decide(gate, world.bob)
        if world.run_now(run).finished_at is not None:
            return was_killed
    now = world.run_now(run)
    raise AssertionError(f"The run did not end: it is {now.status}, {now.waiting_for!r}.")


def start(world: World) -> Run:
    return world.start("everything", amount_minor=5000)


def outside() -> dict[str, int]:
    """What happened in the outside world, by kind."""
    counts: dict[str, int] = {}
    for entry in ledger():
        counts[entry["kind"]] = counts.get(entry["kind"], 0) + 1
    return counts


def test_the_undisturbed_run_reaches_these_points(world: World, crew: Crew) -> None:
    run = start(world)
    drive(world, crew, run)
    assert world.run_now(run).status == "succeeded"
    assert crew.points("executor") == [
        "committed:step.started",
        "calling:register",
        "called:register",
        "committed:step.succeeded",
        "committed:step.started",
        "calling:pay",
        "called:pay",
        "committed:step.succeeded",
    ]
    assert crew.points("worker")[0] == "committed:run.claimed"
    assert crew.points("worker")[-1] == "committed:run.succeeded"
    assert crew.points("worker").count("committed:step.succeeded") == 3
    assert outside() == {
        "add": 1,
        "register-called": 1,
        "registered": 1,
        "pay-called": 1,
        "paid": 1,
    }


@pytest.mark.processes
@pytest.mark.parametrize("role", ROLES)
def test_killed_at_any_point_the_run_completes_and_pays_once(
    world: World, crew: Crew, role: str
) -> None:
    drive(world, crew, start(world))
    places = crew.points(role)
    assert places
    for index, place in enumerate(places, start=1):
        before = outside()
        crew.forget_points()
        run = start(world)
        assert drive(world, crew, run, killed=role, crash_at=index), f"not killed at {place}"
        after = {kind: count - before[kind] for kind, count in outside().items()}
        where = f"{role} killed at point {index}, {place}"
        assert world.run_now(run).status == "succeeded", where
        assert world.result(run)["paid"] == 5000, where
        assert (after["paid"], after["registered"], after["add"]) == (1, 1, 1), where
        repeated = 2 if place == "called:pay" else 1
        assert after["pay-called"] == repeated, where
        keys = {entry["key"] for entry in ledger("pay-called")[-repeated:]}
        assert len(keys) == 1, f"{where}: the key changed between attempts"
