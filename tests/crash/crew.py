"""One nursery for each process, with exactly that process's environment, and the drive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.crash import people
from tests.crash.scenarios import Scenario
from tests.harness import World
from tests.servers import Servers
from tests.zoo import world_dir

ROLES = ("web", "worker", "gatekeeper", "executor")
SECONDS = 30.0

Place = tuple[str, str, int]
"""A process, a point, and the how manieth time that it reaches it."""

AT_TIMES = (
    "committed:secondlook.drawn",
    "committed:recap.made",
    "notice.written",
    "committed:notice.written",
)
"""Points that a scenario comes to on some of its ways.

A gate is drawn for a second look by its digest, which is another one each time; the notices may be
of the end of the scenario before; and whoever approves looks over what they approved as often as
the machine is quick.
"""


class Crew:
    """The processes, played one after the other: all four, unless a test needs only some."""

    def __init__(self, servers: Servers, roles: Sequence[str] = ROLES, **variables: str) -> None:
        self.points: list[Place] = []
        self.unnamed: list[tuple[str, str]] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self.nurseries = {
            role: subprocess.Popen(
                [sys.executable, "-m", "tests.crash.nursery"],
                env=servers.environment(role)
                | {
                    "PLACET_TEST_WORLD": os.environ["PLACET_TEST_WORLD"],
                    "PLACET_WORKFLOWS": "tests.zoo",
                    "PLACET_CLAIM_SECONDS": "30",
                    "PLACET_PROCESS": role,
                }
                | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for role in roles
        }

    def turn(self, role: str, plan: dict[str, Any], **more: Any) -> dict[str, Any]:
        """What the process would do now; `kill` and `hold` name a point and its count from now."""
        nursery = self.nurseries[role]
        assert nursery.stdin is not None and nursery.stdout is not None
        print(json.dumps({"plan": plan} | more), file=nursery.stdin, flush=True)
        return self._heard(role)

    def hold(
        self, role: str, plan: dict[str, Any], place: list[Any], meanwhile: Callable[[], None]
    ) -> tuple[dict[str, Any], bool]:
        """A turn that is held at a point while something happens; and whether it came to that."""
        nursery, at = self.nurseries[role], world_dir() / "held"
        assert nursery.stdin is not None and nursery.stdout is not None
        command = {"plan": plan, "hold": place, "at": str(at)}
        print(json.dumps(command), file=nursery.stdin, flush=True)
        was_held = _wait_for_either(at, nursery.stdout)
        if was_held:
            meanwhile()
            at.unlink()
        return self._heard(role), was_held

    def _heard(self, role: str) -> dict[str, Any]:
        out = self.nurseries[role].stdout
        assert out is not None
        line = out.readline()
        assert line, f"The nursery of {role} has ended."
        said: dict[str, Any] = json.loads(line)
        for point in said["points"]:
            self._counts[role, point] += 1
            self.points.append((role, point, self._counts[role, point]))
        self.unnamed += [(role, sql) for sql in said.get("unnamed", ())]
        return said

    def left_to(self, place: Place) -> list[Any]:
        """A place, counted from now."""
        role, point, number = place
        return [point, number - self._counts[role, point]]

    def forget(self) -> None:
        self.points, self.unnamed = [], []
        self._counts.clear()

    def dismiss(self) -> None:
        for nursery in self.nurseries.values():
            assert nursery.stdin is not None and nursery.stdout is not None
            nursery.stdin.close()
            nursery.wait(10)
            nursery.stdout.close()


def _wait_for_either(held: Path, out: Any) -> bool:
    import select

    while not held.exists():
        if select.select([out], [], [], 0.005)[0]:
            return held.exists()
    return True


def drive(
    world: World,
    crew: Crew,
    scenario: Scenario,
    *,
    kill: Place | None = None,
    hold: Place | None = None,
    meanwhile: Callable[[], None] = lambda: None,
    begun: Callable[[dict[str, Any]], None] = lambda plan: None,
) -> tuple[dict[str, Any], bool]:
    """Plays all processes until all that the scenario starts has ended.

    Returns the plan, and whether the process was killed, or held, at its place.
    """
    crew.forget()
    plan = scenario.plan(world.tenant)
    scenario.set_switches(world_dir())
    begun(plan)
    has_come, deadline = False, time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for role in ROLES:
            if kill and kill[0] == role and not has_come:
                said = crew.turn(role, plan, kill=crew.left_to(kill))
                has_come = said["code"] == -9
                assert said["code"] in (0, -9), f"{role} ended with {said['code']}"
            elif hold and hold[0] == role and not has_come:
                said, has_come = crew.hold(role, plan, crew.left_to(hold), meanwhile)
            else:
                said = crew.turn(role, plan)
            assert hold or "error" not in said, f"{role}: {said['error']}"
        if people.is_over(plan):
            return plan, has_come
    words = [f"{run.workflow} is {run.status}, {run.waiting_for!r}" for run in people.runs_of(plan)]
    raise AssertionError(f"It did not end ({kill or hold}): {'; '.join(words)}.")
