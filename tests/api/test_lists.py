"""Lists, read to the end while new rows arrive; and the journal after a number."""

from __future__ import annotations

from typing import Any

import pytest

from console.access import MAX_PAGE_SIZE
from tests.api import callers
from tests.harness import World, admin


def read_all(caller: callers.Caller, path: str, **query: Any) -> list[str]:
    found, cursor = [], ""
    while True:
        page = caller.get(path, **query, **({"cursor": cursor} if cursor else {})).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 200])
def test_every_run_is_listed_once_newest_first(
    world: World, alice: callers.Caller, limit: int
) -> None:
    started = [str(world.start("adding", numbers=[n]).id) for n in range(5)]
    assert read_all(alice, "runs", limit=limit) == started[::-1]


@pytest.mark.parametrize("path", ["runs", "gates"])
def test_rows_of_the_same_moment_are_listed_once_each(
    world: World, alice: callers.Caller, path: str
) -> None:
    for _ in range(2):
        world.park_at_gates(100, 200)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE runs_run SET created_at = '2026-01-01Z'")
        superuser.execute("UPDATE approvals_gate SET opened_at = '2026-01-01Z'")
    listed = read_all(alice, path, limit=1)
    assert len(listed) == len(set(listed)) == (2 if path == "runs" else 4)


def test_a_run_that_starts_meanwhile_moves_nothing(world: World, alice: callers.Caller) -> None:
    started = [str(world.start("adding", numbers=[n]).id) for n in range(4)]
    first = alice.get("runs", limit=2).json()
    world.start("adding", numbers=[9])
    rest = alice.get("runs", limit=2, cursor=first["next_cursor"]).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == started[::-1]
    assert rest["next_cursor"] == ""


def test_runs_are_filtered_by_status_and_workflow(world: World, alice: callers.Caller) -> None:
    done = world.start("adding", numbers=[1])
    world.settle()
    ready = world.start("echoing", value=1)
    assert read_all(alice, "runs", status="succeeded") == [str(done.id)]
    assert read_all(alice, "runs", workflow="echoing") == [str(ready.id)]
    assert read_all(alice, "runs", workflow="echoing", status="failed") == []


@pytest.mark.parametrize("state", ["open", ""])
def test_every_gate_is_listed_once(world: World, alice: callers.Caller, state: str) -> None:
    gates = {str(gate.id) for gate in world.gates(world.park_at_gates(100, 200, 300))}
    query = {"state": state} if state else {}
    listed = read_all(alice, "gates", limit=2, **query)
    assert sorted(listed) == sorted(gates)


def test_the_gates_of_mine_are_those_that_the_caller_may_decide(
    world: World, alice: callers.Caller
) -> None:
    voted, first, second = world.gates(world.park_at_gates(100, 200, 300))
    own = world.start("paying", by=world.bob, amounts=[400])
    world.settle()
    world.decide(voted, world.bob)
    bob, carol = callers.with_token(world.bob), callers.with_token(world.carol)

    assert read_all(bob, "gates", view="mine", limit=1) == [str(first.id), str(second.id)]
    assert read_all(bob, "gates", view="mine", state="approved") == []
    assert set(read_all(carol, "gates", view="mine")) == {
        str(gate.id) for gate in (voted, first, second, *world.gates(own))
    }
    assert read_all(alice, "gates", view="mine") == []
    assert callers.problem(bob.get("gates", view="yours")) == (422, "invalid-request")


def test_a_cursor_of_another_list_is_refused(world: World, alice: callers.Caller) -> None:
    world.park_at_gates(100, 200)
    world.start("adding", numbers=[1])
    cursor = alice.get("runs", limit=1).json()["next_cursor"]
    assert cursor
    answer = alice.get("gates", cursor=cursor)
    assert callers.problem(answer) == (422, "invalid-request")


def test_the_journal_is_read_on_from_where_it_was_left(world: World, alice: callers.Caller) -> None:
    run = world.start("adding", numbers=[1, 2])
    world.settle()
    path = f"runs/{run.id}/events"
    whole = alice.get(path).json()
    assert [event["seq"] for event in whole["items"]] == list(range(1, len(whole["items"]) + 1))
    assert whole["items"][0]["kind"] == "run.started"
    assert whole["items"][-1]["kind"] == "run.succeeded"
    part = alice.get(path, limit=2).json()
    rest = alice.get(path, after=part["next_after"]).json()
    assert part["items"] + rest["items"] == whole["items"]
    end = alice.get(path, after=rest["next_after"]).json()
    assert end == {"items": [], "next_after": rest["next_after"]}


def test_a_finished_run_shows_its_input_steps_and_result(
    world: World, alice: callers.Caller
) -> None:
    run = world.start("adding", numbers=[1, 2])
    world.settle()
    shown = alice.get(f"runs/{run.id}").json()
    assert (shown["status"], shown["input"], shown["result"]) == (
        "succeeded",
        {"numbers": [1, 2]},
        3,
    )
    assert [(step["arguments"], step["result"]) for step in shown["steps"]] == [
        ({"a": 0, "b": 1}, 1),
        ({"a": 1, "b": 2}, 3),
    ]
    assert shown["finished_at"].endswith("Z")


def test_a_run_of_many_steps_is_read_a_page_at_a_time(world: World, alice: callers.Caller) -> None:
    run = world.start("adding", numbers=list(range(MAX_PAGE_SIZE + 3)))
    world.settle()
    path = f"runs/{run.id}"
    first = alice.get(path).json()
    assert len(first["steps"]) == MAX_PAGE_SIZE
    rest = alice.get(path, steps_after=first["next_steps_after"]).json()
    assert (len(rest["steps"]), rest["next_steps_after"]) == (3, None)
    positions = [step["position"] for step in first["steps"] + rest["steps"]]
    assert positions == sorted(set(positions))
