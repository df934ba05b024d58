"""kill -9 after every commit and around every outside call of a small zoo, one by one.

The points are enumerated, not sampled: an undisturbed run tells which there are, in each
process, and each of them gets a playing of its own in which the process is killed just there.
What is left then is taken over, and must come to the same journal and the same books.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash import records
from tests.crash.crew import AT_TIMES, Crew, Place, drive
from tests.crash.scenarios import BY_NAME, ZOO, Scenario
from tests.harness import World
from tests.servers import Servers


class Stage:
    """One world and one crew for many plays; a new one after a play that went wrong."""

    def __init__(self, servers: Servers) -> None:
        self.world = World(servers).__enter__()
        self.world.policy(tool="charge_back", name="Charges back up to 10,000 euro")
        self.crew = Crew(servers)
        self.is_spoiled = False

    def leave(self) -> None:
        self.crew.dismiss()
        self.world.__exit__()


@pytest.fixture(scope="module")
def stages(servers: Servers) -> Iterator[list[Stage]]:
    made: list[Stage] = []
    yield made
    for stage in made:
        stage.leave()


@pytest.fixture
def stage(servers: Servers, stages: list[Stage]) -> Iterator[Stage]:
    if stages and stages[0].is_spoiled:
        stages.pop().leave()
    if not stages:
        stages.append(Stage(servers))
    stages[0].is_spoiled = True
    yield stages[0]


def test_the_undisturbed_run_reaches_these_points(stage: Stage) -> None:
    drive(stage.world, stage.crew, BY_NAME["everything"])
    reached = {
        role: [point for where, point, _ in stage.crew.points if where == role]
        for role in stage.crew.nurseries
    }
    assert reached["web"][0] == "committed:run.started"
    assert reached["executor"] == [
        "committed:step.started",
        "calling:register",
        "called:register",
        "committed:step.succeeded",
        "committed:step.started",
        "calling:pay",
        "called:pay",
        "committed:step.succeeded",
    ]
    assert reached["worker"][0] == "committed:run.claimed"
    assert reached["worker"][-1] == "committed:run.succeeded"
    assert reached["worker"].count("committed:step.succeeded") == 3
    assert records.books() == {
        "add": 1,
        "register-called": 1,
        "registered": 1,
        "pay-called": 1,
        "paid": 1,
    }
    stage.is_spoiled = False


@pytest.mark.processes
@pytest.mark.parametrize("scenario", ZOO, ids=lambda scenario: scenario.name)
def test_killed_at_any_point_it_comes_to_the_same_end(stage: Stage, scenario: Scenario) -> None:
    before = records.books()
    plan, _ = drive(stage.world, stage.crew, scenario)
    wanted, done = records.journals(plan), records.books() - before
    assert not stage.crew.unnamed, "each commit is followed by a point of its own"
    for place in list(stage.crew.points):
        _kill_at(stage, scenario, place, wanted, done)
    records.check_keys()
    stage.is_spoiled = False


def _kill_at(
    stage: Stage, scenario: Scenario, place: Place, wanted: object, done: records.Counter[str]
) -> None:
    before = records.books()
    plan, was_killed = drive(stage.world, stage.crew, scenario, kill=place)
    where = "{} killed at {}, the {}. time".format(*place)
    # Whether a wait of a moment is over before it is begun, is up to the moment.
    may_miss = place[1] in AT_TIMES or (
        place[1] == "committed:runs.woken" and scenario.name != "timer"
    )
    assert was_killed or may_miss, f"{where}: it did not come there"
    assert records.journals(plan) == wanted, where
    records.check_books(records.books() - before, done, where)
