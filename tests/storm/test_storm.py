"""A short storm in the suite; `make storm` is the long one."""

from __future__ import annotations

import os
import random

import pytest

from tests.harness import World
from tests.servers import Servers
from tests.storm.storm import storm

SECONDS = 20.0
RUNS = 40


@pytest.mark.processes
def test_a_short_storm_loses_nothing_and_does_nothing_twice(world: World, servers: Servers) -> None:
    """Another one each time; a seed that failed is played again with PLACET_STORM_SEED."""
    seed = int(os.environ.get("PLACET_STORM_SEED", random.randrange(2**31)))
    report = storm(world, servers, seconds=SECONDS, runs=RUNS, seed=seed)
    print(report.show())
    assert not report.faults, report.show()
    assert sum(report.figures["runs"].values()) >= RUNS
    assert sum(report.figures["disturbances"].values()) > 5
