"""What pages do not do, so that they stay quick among ten thousand requests.

`tests.bench.gates` measures it; here is what the figures rest on, one mechanism a test.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import SyncToAsync
from django.core.handlers.asgi import ASGIHandler
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.eligibility import is_asked, is_live
from approvals.models import Gate
from console import access
from console.handler import OneThreadHandler
from console.home import BASE_DIR
from console.pages import endings, home, inbox
from runs import forks
from tests.approvals.glasses import confirmed, opened
from tests.bench import crowd
from tests.harness import World, as_role
from tests.pages.test_inbox import shown
from tests.pages.visitors import Page, Visitor
from tests.servers import Servers

OTHERS = 1000
LEAST_FROZEN = 50_000
COUNT = 'SELECT COUNT(*) FROM (SELECT "'
LATELY_CLOSED = "STATEMENT_TIMESTAMP() - '"


def asked_for(look: Callable[[], Any]) -> list[str]:
    """The statements that a look at a page sends to the database."""
    with as_role("placet_web"), CaptureQueriesContext(connection) as captured:
        look()
    return [one["sql"] for one in captured.captured_queries]


def counts_of_mine(statements: list[str]) -> list[str]:
    """Those that count requests and know who has voted already, which is to ask for a person."""
    counts = [s for s in statements if s.startswith(f"{COUNT}approvals_gate")]
    return [s for s in counts if "approvals_decision" in s]


def plan_of(rows: Any) -> str:
    """How PostgreSQL reads these rows, told after it has."""
    sql, values = rows.query.sql_with_params()
    with as_role("placet_web"), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING off, COSTS off) {sql}", values)
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.parametrize(("path", "times"), [("/", 1), ("/inbox/", 2), ("/inbox/?part=count", 1)])
def test_what_waits_for_me_is_counted_once_a_page(
    bob: Visitor, gate: Gate, path: str, times: int
) -> None:
    """The inbox counts a second time, for what waits on others."""
    statements = asked_for(lambda: bob.client.get(path))

    assert len(counts_of_mine(statements)) == times
    assert b'1<span class="hidden-visually"> waiting for you' in bob.get(path).content


@pytest.mark.parametrize("view", ["mine", "waiting", "expiring"])
def test_the_groups_of_a_person_are_read_once_a_page(bob: Visitor, gate: Gate, view: str) -> None:
    """The list, the counts of the views and what each row says of whom it asks rest on them."""
    statements = asked_for(lambda: bob.client.get("/inbox/", {"view": view}))

    assert len([s for s in statements if "FROM approvals_reviewer r" in s]) == 1


def test_a_part_of_a_page_that_shows_no_count_counts_nothing(bob: Visitor, gate: Gate) -> None:
    path, headers = f"/gates/{gate.id}/", {"HX-Request": "true"}

    whole = asked_for(lambda: bob.client.get(path))
    part = asked_for(lambda: bob.client.get(f"{path}?part=standing", headers=headers))

    assert len(counts_of_mine(whole)) == 1
    assert not counts_of_mine(part)


def test_the_next_request_is_looked_for_only_where_it_is_offered(
    world: World, bob: Visitor, gate: Gate
) -> None:
    world.park_at_gates(500)
    path = f"/gates/{gate.id}/"

    def looks_for_the_next() -> bool:
        found = asked_for(lambda: bob.client.get(path))
        return any("approvals_decision" in s and "LIMIT 1" in s[-8:] and "@>" in s for s in found)

    assert not looks_for_the_next()
    world.decide(gate, world.bob)
    assert looks_for_the_next()
    assert "Next request (1 left)" in Page(bob.get(path)).text


def test_a_search_looks_for_the_words_once(world: World, bob: Visitor, gate: Gate) -> None:
    statements = asked_for(lambda: bob.client.get("/inbox/?q=alice"))

    searches = [s for s in statements if "LIKE" in s and LATELY_CLOSED not in s]
    assert len(searches) == 1
    assert shown(bob.get("/inbox/", q="alice")) == [str(gate.id)]


@pytest.mark.parametrize("query", ["alice", "pay", "nobody of that name"])
def test_a_search_that_finds_many_finds_the_same(
    world: World, bob: Visitor, gate: Gate, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    world.park_at_gates(200, 300)
    few = bob.get("/inbox/", q=query)
    monkeypatch.setattr(inbox, "FEW", 0)
    many = bob.get("/inbox/", q=query)

    assert shown(many) == shown(few)
    assert len(shown(few)) == (0 if query.startswith("nobody") else 3)
    assert Page(many).texts("a") == Page(few).texts("a")


def test_only_the_rows_of_a_page_are_joined_with_their_steps(bob: Visitor, gate: Gate) -> None:
    statements = asked_for(lambda: bob.client.get("/inbox/"))

    pages = [s for s in statements if s.endswith(f"LIMIT {access.DEFAULT_PAGE_SIZE + 1}")]
    assert len(pages) == 1
    assert "runs_step" not in pages[0]


@pytest.mark.parametrize(
    "path", ["/", *(f"/inbox/?view={view}" for view in ("mine", "waiting", "expiring", "decided"))]
)
def test_a_page_asks_as_often_for_many_requests_as_for_few(
    world: World, bob: Visitor, gate: Gate, path: str
) -> None:
    """A row is read with all that is shown of it, and nothing else: what was forgotten would be
    asked for row by row."""
    world.decide(gate, world.bob)
    for amounts in ((500, 700), (300, 400, 600, 800)):
        for requester in (world.alice, world.bob):
            world.settle()
            world.start("paying", by=requester, amounts=list(amounts))
        world.settle()
        world.decide(Gate.objects.filter(status="open", requester=world.alice)[0], world.bob)
        statements = asked_for(lambda: bob.client.get(path))
        if len(amounts) == 2:
            few = len(statements)

    assert len(statements) == few
    read = next(s for s in statements if '"approvals_gate"."payee_name"' in s)
    assert not {"envelope", "input", "arguments", "password"} & set(re.findall(r"\w+", read))


def test_a_broken_glass_is_looked_for_only_where_there_is_one(
    world: World, bob: Visitor, gate: Gate
) -> None:
    def looks_at_glasses() -> bool:
        return any("breakglassconfirmation" in s for s in asked_for(lambda: bob.client.get("/")))

    assert not looks_at_glasses()
    confirmed(world, opened(world, by=world.bob))
    assert looks_at_glasses()
    assert "The glass is broken." in Page(bob.get("/")).text


def test_what_has_a_gate_is_not_looked_at_for_what_has_none(
    world: World, alice: Visitor, gate: Gate
) -> None:
    crowd.put(OTHERS, [gate], reviewer=world.bob.pk)
    world.start("paying", amounts=[99_000_000])
    world.settle()
    with as_role("postgres"), connection.cursor() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE runs_step SET created_at = created_at - interval '1 hour'")

    told = plan_of(home.find_ungated(world.alice))

    assert "pay is held without a gate" in Page(alice.get("/")).text
    assert re.findall(r"on runs_step .*actual rows=(\d+)", told) == ["1"], told


def test_who_has_voted_is_asked_for_each_request_and_not_joined(world: World, gate: Gate) -> None:
    """A join would look at all that this person has ever decided, for each request."""
    mine = Gate.objects.filter(is_live() & is_asked(world.bob))

    assert "Anti Join" not in plan_of(mine)
    world.decide(gate, world.bob)
    assert not mine.exists()


def test_only_a_run_that_came_from_others_is_followed(world: World, gate: Gate) -> None:
    mine = Gate.objects.filter(forks.RequestedBy("run_id", world.alice.pk))
    bobs = Gate.objects.filter(forks.RequestedBy("run_id", world.bob.pk))

    assert list(mine) == [gate]
    assert "Recursive Union (never executed)" in plan_of(bobs)
    with as_role("placet_web"):
        forked = forks.fork(run=gate.run, at=0, requested_by=world.erin)
    world.settle()
    assert set(mine.all()) == {gate, *world.gates(forked)}
    assert "Recursive Union (never executed)" not in plan_of(bobs)


@pytest.mark.parametrize(
    ("rows", "indexes"),
    [
        (access.find_questions, {"runs_step_asking"}),
        (endings.find_unpaid, {"runs_step_failed"}),
        (home.find_unknown, {"runs_step_in_doubt", "runs_step_paused"}),
    ],
)
def test_home_finds_what_is_rare_by_its_own_index(
    world: World, gate: Gate, rows: Any, indexes: set[str]
) -> None:
    crowd.put(OTHERS, [gate], reviewer=world.bob.pk)

    told = plan_of(rows(world.bob)[: home.SHOWN])

    assert all(name in told for name in indexes), told


@pytest.mark.parametrize(("handler", "is_one"), [(OneThreadHandler, True), (ASGIHandler, False)])
def test_a_request_is_handed_to_its_thread_once(
    monkeypatch: pytest.MonkeyPatch, handler: type[ASGIHandler], is_one: bool
) -> None:
    """And not by each middleware; Django itself tells its receivers of the start and the end."""
    handed_over = []
    hand_over = SyncToAsync.__call__

    def counted(self: Any, *args: Any, **named: Any) -> Any:
        handed_over.append(self.func)
        return hand_over(self, *args, **named)

    async def ask(handled_by: Any) -> int:
        transport = httpx.ASGITransport(app=handled_by)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/accounts/login/")).status_code

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    assert asyncio.run(ask(handler())) == 200
    assert (len(handed_over) == 1 + 2) is is_one, handed_over


def test_a_collection_looks_at_nothing_that_stood_from_the_start(servers: Servers) -> None:
    """Else some request after another waits a tenth of a second for Python's collector."""
    said = "import gc, sys, console.asgi; print(gc.get_freeze_count(), *sys.modules)"
    started = subprocess.run(
        [sys.executable, "-c", said],
        cwd=BASE_DIR,
        env=servers.environment("web"),
        capture_output=True,
        text=True,
        check=True,
    )

    frozen, *modules = started.stdout.split()
    assert int(frozen) > LEAST_FROZEN
    assert "console.pages.gates" in modules
