"""PostgreSQL killed and started again while a process is at a point; all go on by themselves.

One play of many kinds of steps at once: each point that a process reaches in it is taken once.
The processes live on with the connections that they had. What they could not write they try
again, or another takes it over when the claim has ended.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.crash import records
from tests.crash.crew import AT_TIMES, Crew, Place, drive
from tests.crash.scenarios import CHILDREN, Scenario
from tests.harness import World
from tests.servers import Servers

ALL_AT_ONCE = Scenario(
    name="all-at-once",
    starts=[
        ("everything", {"amount_minor": 5000}),
        ("listening", {"signals": ["a"]}),
        ("parenting", {"children": CHILDREN}),
    ],
)
CLAIM_SECONDS = "1"


@pytest.fixture
def crew(world: World, servers: Servers) -> Iterator[Crew]:
    made = Crew(servers, PLACET_CLAIM_SECONDS=CLAIM_SECONDS)
    yield made
    made.dismiss()
    connection.close()


@pytest.mark.processes
def test_postgresql_killed_at_any_point_loses_nothing(
    world: World, servers: Servers, crew: Crew
) -> None:
    def restart() -> None:
        servers.postgres.kill()
        servers.postgres.start()
        connection.close()

    plan, _ = drive(world, crew, ALL_AT_ONCE)
    wanted, done = records.journals(plan), records.books()
    places = _first_of_each(crew.points)
    assert len(places) > 20
    for place in places:
        before = records.books()
        plan, was_held = drive(world, crew, ALL_AT_ONCE, hold=place, meanwhile=restart)
        where = "PostgreSQL killed while {} was at {}".format(*place)
        assert was_held or place[1] in AT_TIMES, f"{where}: it did not come there"
        assert records.journals(plan) == wanted, where
        _check_books(records.books() - before, done, where)
    records.check_keys()


def _first_of_each(points: list[Place]) -> list[Place]:
    return [place for place in points if place[2] == 1]


def _check_books(told: records.Counter[str], wanted: records.Counter[str], where: str) -> None:
    """No effect is missing and none there twice; what was under way may have been called again."""
    for kind in told | wanted:
        more = told[kind] - wanted[kind]
        is_call = kind.endswith(records.REPEATED)
        assert more == 0 or (is_call and more > 0), f"{where}: {kind} {told[kind]} times"
