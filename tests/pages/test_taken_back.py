"""An approval that was taken back counts in no list, on no page, and in no answer."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.decisions import revoke
from approvals.models import Gate
from tests.api.callers import Caller, make_token
from tests.approvals.attacks import parked_at
from tests.commands.terminal import run
from tests.harness import World, as_role
from tests.pages.visitors import Page, Visitor, visit_as


@pytest.fixture
def gate(world: World) -> Gate:
    """Of two who are needed, Bob has approved it."""
    world.policy(name="Two", above_minor=6_000_000, up_to_minor=7_000_000, quorum=2)
    (found,) = world.gates(world.park_at_gates(6_500_000))
    world.decide(found, world.bob)
    return found


def take_back(gate: Gate, person: Any) -> None:
    with as_role("placet_web"):
        revoke(gate_id=gate.id, tenant=gate.tenant, person=person, reason="Wrong account.")


def row(answer: Any, gate: Gate) -> str:
    (found,) = [e for e in Page(answer).all("tr") if e.attributes.get("id") == f"gate-{gate.id}"]
    return " ".join(found.text.split())


def everywhere(world: World, gate: Gate) -> list[str]:
    """What each place says of the gate's approvals."""
    bob, carol = visit_as(world.bob), visit_as(world.carol)
    caller = Caller({"Authorization": f"Bearer {make_token(world.carol)}"})
    said = [
        row(carol.get("/inbox/"), gate),
        row(carol.get("/"), gate),
        row(bob.get("/inbox/", view="waiting"), gate),
        row(bob.get("/inbox/", view="decided"), gate),
        Page(carol.get(f"/gates/{gate.id}/")).text,
        Page(carol.get(f"/runs/{gate.run_id}/")).text,
        run("gates").out,
    ]
    counts = [str(caller.get(path).json()["approvals"]) for path in (f"gates/{gate.id}",)]
    (item,) = caller.get("gates").json()["items"]
    found = ["1 of 2" if "1 of 2" in one else "0 of 2" if "0 of 2" in one else one for one in said]
    return [*found, *counts, str(item["approvals"])]


def test_one_of_two_is_none_of_two_once_it_was_taken_back(world: World, gate: Gate) -> None:
    assert everywhere(world, gate) == ["1 of 2"] * 7 + ["1"] * 2
    take_back(gate, world.bob)
    assert everywhere(world, gate) == ["0 of 2"] * 7 + ["0"] * 2


def test_who_took_it_back_reads_so_and_why_they_decide_no_more(
    world: World, bob: Visitor, gate: Gate
) -> None:
    assert "you approved" in row(bob.get("/inbox/", view="waiting"), gate)
    take_back(gate, world.bob)

    assert "you took it back" in row(bob.get("/inbox/", view="waiting"), gate)
    assert "Approved Taken back" in row(bob.get("/inbox/", view="decided"), gate)
    text = Page(bob.get(f"/gates/{gate.id}/")).text
    assert "You took your approval back. It does not count any more." in text
    assert "Taken back" in text and "Wrong account." in text


def test_the_lists_ask_no_more_of_the_database_for_it(world: World, gate: Gate) -> None:
    """One query for the decisions of all rows, with what was taken back of them."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    bob = visit_as(world.bob)

    def count(view: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            bob.get("/inbox/", view=view)
        return len(captured)

    before = [count(view) for view in ("waiting", "decided")]
    for _ in range(3):
        more = parked_at(world, "critical")
        world.decide(world.gates(world.park_at_gates(6_500_000))[0], world.bob)
        assert more.status == "open"
    take_back(gate, world.bob)
    assert [count(view) for view in ("waiting", "decided")] == before
