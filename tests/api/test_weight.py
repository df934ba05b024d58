"""Lists fetch what they show: not the large bytes of each row, and nothing row by row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.models import Run, Schedule
from tests.api import callers
from tests.commands.terminal import run as run_command
from tests.harness import World
from tests.pages import visitors
from tests.pages.visitors import visit_as

LARGE = (
    '"runs_run"."input"',
    '"runs_run"."result"',
    '"runs_step"."arguments"',
    '"runs_step"."result"',
    '"approvals_gate"."envelope"',
)
Call = Callable[[World], object]

CALLS: dict[str, Call] = {
    "runs by API": lambda world: callers.with_token(world.alice).get("runs"),
    "gates by API": lambda world: callers.with_token(world.bob).get("gates"),
    "gates of mine by API": lambda world: callers.with_token(world.bob).get("gates", view="mine"),
    "open gates by API": lambda world: callers.with_token(world.bob).get("gates", state="open"),
    "questions by API": lambda world: callers.with_token(world.bob).get("questions"),
    "schedules by API": lambda world: callers.with_token(world.bob).get("schedules"),
    "the page of questions": lambda world: visit_as(world.bob).get("/questions/"),
    "the page of schedules": lambda world: visit_as(world.bob).get("/schedules/"),
    "Home of an operator": lambda world: visit_as(world.alice).get("/"),
    "a run with its children": lambda world: visit_as(world.alice).get(parent_of(world)),
    "children by API": lambda world: callers.with_token(world.alice).get(
        "runs", parent=parent_of(world).strip("/").rpartition("/")[2]
    ),
    "the page of runs": lambda world: visit_as(world.alice).get("/runs/"),
    "the inbox of a reviewer": lambda world: visit_as(world.bob).get("/inbox/"),
    **{
        f"the inbox of a reviewer, {view}": lambda world, view=view: visit_as(world.bob).get(
            "/inbox/", view=view
        )
        for view in ("waiting", "expiring", "decided", "closed")
    },
    "the inbox by amount": lambda world: visit_as(world.bob).get("/inbox/", sort="amount"),
    "the inbox of the others": lambda world: visit_as(world.dave).get("/inbox/"),
    "gates by command": lambda world: run_command("gates"),
    "gates by command, as JSON": lambda world: run_command("gates", "--json"),
}


# These show what their rows hold, for those few that they show.
SHOW_VALUES = ("questions by API", "schedules by API", "the page of questions",
               "Home of an operator", "a run with its children")  # fmt: skip


def parent_of(world: World) -> str:
    parents = Run.objects.filter(tenant=world.tenant, workflow="parenting").order_by("-id")
    return f"/runs/{parents.values_list('id', flat=True)[0]}/"


def queries_of(call: Call, world: World) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        call(world)
    return [query["sql"] for query in captured.captured_queries]


def add_rows(world: World) -> None:
    """A run with an open gate and one that Bob has decided."""
    run = world.park_at_gates(100, 200)
    world.decide(world.gates(run)[0], world.bob)
    world.start("asking")
    children = [{"workflow": "adding", "input": {"numbers": [1]}}] * (Run.objects.count() % 7 + 2)
    world.start("parenting", children=children)
    visitors.make_schedule(world, name=f"Plan {Schedule.objects.count()}")
    world.settle()


@pytest.mark.parametrize("name", CALLS)
def test_a_list_fetches_nothing_large_and_nothing_row_by_row(world: World, name: str) -> None:
    call = CALLS[name]
    add_rows(world)
    few = queries_of(call, world)
    for _ in range(2):
        add_rows(world)
    many = queries_of(call, world)

    assert few and len(many) == len(few)
    if name not in SHOW_VALUES:
        assert [sql for sql in many if any(column in sql for column in LARGE)] == []
