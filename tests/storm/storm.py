"""A storm: many runs, and something that goes wrong every moment; then calm, and a look."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import django.db
from django.db import connection

from tests.doubts import make_operators
from tests.harness import World
from tests.servers import Servers
from tests.storm import verdict
from tests.storm.driver import Driver
from tests.storm.fleet import Fleet
from tests.storm.weather import Weather
from tests.zoo import world_dir

CLAIM_SECONDS = 4.0
SLOW_SECONDS = 0.4
"""How long an answer of the outside world takes, at most, so that many are under way."""
FREEZE_SECONDS = 9.0
PATIENCE_SECONDS = FREEZE_SECONDS + 3.0
"""How long people wait before they say what became of a doubt: all that is frozen has thawed."""


@dataclass
class Report:
    """How a storm went."""

    seed: int
    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def show(self) -> str:
        lines = [f"Storm, seed {self.seed}"]
        for name, value in self.figures.items():
            lines.append(f"  {name:<34} {value}")
        lines += [f"FAULT: {fault}" for fault in self.faults]
        return "\n".join(lines)


def storm(
    world: World,
    servers: Servers,
    *,
    seconds: float,
    runs: int,
    seed: int,
    calm_seconds: float = 180.0,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """`runs` are started all through it; call it from the main thread."""
    draw = random.Random(seed)
    make_operators(world)
    world.policy(tool="charge_back", name="Charges back up to 10,000 euro")
    (world_dir() / "slow").write_text(str(SLOW_SECONDS))
    report = Report(seed)
    with Fleet(servers, claim_seconds=CLAIM_SECONDS) as fleet:
        weather = Weather(fleet, servers, draw, freeze_seconds=FREEZE_SECONDS)
        people = Driver(
            world,
            random.Random(seed + 1),
            runs=runs,
            seconds=seconds * 0.95,
            patience=PATIENCE_SECONDS,
        )
        people.start()
        restarts = _rage(fleet, weather, draw, seconds, tell)
        weather.calm()
        people.end_schedule()
        took = _calm_down(fleet, people, calm_seconds, tell)
        people.finish()
        said = fleet.said()
    connection.close()
    report.faults = verdict.faults(people.wanted, weather.times)
    if not people.has_started_all:
        report.faults.append(f"Only {len(people.wanted)} of {runs} runs were started.")
    report.figures = verdict.table(said) | {
        "disturbances": dict(weather.counts),
        "processes started again": restarts,
        "requests of people made again": dict(people.broken),
        "seconds of storm": round(seconds),
        "seconds to calm": round(took, 1),
    }
    return report


def _rage(
    fleet: Fleet,
    weather: Weather,
    draw: random.Random,
    seconds: float,
    tell: Callable[[str], None],
) -> int:
    restarts, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        tell(weather.strike())
        pause = time.monotonic() + draw.uniform(0.1, 1.5)
        while time.monotonic() < pause:
            restarts += fleet.restart_what_ended()
            weather.thaw_due()
            time.sleep(0.05)
    return restarts


def _calm_down(fleet: Fleet, people: Driver, most: float, tell: Callable[[str], None]) -> float:
    """Seconds until everything has ended; no longer than `most`."""
    began, told_at = time.monotonic(), 0.0
    while time.monotonic() - began < most:
        fleet.restart_what_ended()
        try:
            if people.has_started_all and verdict.is_calm():
                break
            if time.monotonic() - told_at > 10:
                told_at = time.monotonic()
                tell(f"still open: {len(verdict.unended())}")
        except django.db.Error:
            connection.close()
        time.sleep(0.2)
    return time.monotonic() - began
