"""What is played at the crash points: a small zoo, and what people do in it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Runs that are started, what people do besides answering, and how the world is set."""

    name: str
    starts: Sequence[tuple[str, Mapping[str, Any]]]
    deeds: Sequence[str] = ()
    silent: Sequence[str] = ()
    """Signals that nobody sends."""
    switches: Mapping[str, str] = field(default_factory=dict)

    def plan(self, tenant: str) -> dict[str, Any]:
        """One playing of it, for `people`."""
        return {
            "tenant": tenant,
            "key": f"{self.name}-{next(_numbers)}",
            "starts": [{"workflow": name, "input": dict(given)} for name, given in self.starts],
            "deeds": list(self.deeds),
            "silent": list(self.silent),
        }

    def set_switches(self, world: Path) -> None:
        for name, value in self.switches.items():
            (world / name).write_text(value)


def _one(called: str, workflow: str, /, **given: Any) -> Scenario:
    return Scenario(name=called, starts=[(workflow, given)])


CHILDREN = [
    {"workflow": "adding", "input": {"numbers": [1]}},
    {"workflow": "registering", "input": {"names": ["x"]}},
    {"workflow": "refusing", "input": {}},
]
ZOO = [
    _one("straight", "adding", numbers=[1, 2, 3]),
    _one("everything", "everything", amount_minor=5000),
    _one("gather", "registering", names=["a", "b", "c"]),
    _one("bounded", "many_registering", names=["a", "b"], at_once=1),
    _one("money", "paying", amounts=[100, 200]),
    _one("once", "launching", name="x"),
    _one("timer", "sleeping", seconds=0.05),
    _one("signal", "listening", signals=["a", "b"]),
    _one("first", "hurrying", seconds=600),
    _one("all", "collecting"),
    _one("ask", "asking"),
    _one("child", "parenting", children=CHILDREN),
    _one("chain", "nesting", depth=2),
    Scenario(
        name="send",
        starts=[
            ("listening", {"signals": ["news"]}),
            ("writing", {"to": "$0", "signal": "news", "payload": 1}),
        ],
        silent=["news"],
    ),
    _one("undo", "touring", places=["x", "y"]),
    _one("undo-money", "charging", amount_minor=700),
    Scenario(
        name="cancel",
        starts=[("daring", {"places": ["x", "y"]})],
        deeds=["cancel"],
        silent=["go"],
    ),
    Scenario(
        name="terminate",
        starts=[("daring", {"places": ["x", "y"]})],
        deeds=["terminate"],
        silent=["go"],
    ),
    Scenario(
        name="retry",
        starts=[("registering", {"names": ["a"]})],
        switches={"register-fails": "1"},
    ),
    Scenario(name="retry-safe", starts=[("adding", {"numbers": [1]})], switches={"add-fails": "1"}),
    Scenario(name="spent", starts=[("adding", {"numbers": [1]})], switches={"add-fails": "3"}),
    Scenario(name="doubt", starts=[("launching", {"name": "x"})], switches={"launch-drops": "1"}),
    Scenario(name="pause", starts=[("listening", {"signals": ["a"]})], deeds=["pause"]),
    Scenario(name="fork", starts=[("lingering", {})], deeds=["fork"]),
    Scenario(name="schedule", starts=[], deeds=["schedule"]),
    Scenario(
        name="probe",
        starts=[("calling", {"tool": "post", "arguments": {"letter": "x"}})],
        switches={"post-drops": "1"},
    ),
    _one("completion", "calling", tool="hand_over", arguments={}),
    _one("continued", "counting", number=1, most=2),
]
BY_NAME = {scenario.name: scenario for scenario in ZOO}
