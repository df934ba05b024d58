"""A row that a worker holds is no reason for the console to stand still."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest

from approvals.models import Gate
from console import settings
from console.home import BASE_DIR
from runs.models import Run
from tests.api import callers
from tests.harness import World
from tests.pages.test_markup import check
from tests.pages.visitors import Page, Visitor, written
from tests.servers import Servers


@pytest.fixture
def held(gate: Gate, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run whose row a worker has locked and keeps, and a web that waits 0.2 s."""
    monkeypatch.setattr(settings, "WAITS_NOT", True)
    monkeypatch.setattr(settings, "PATIENCE", "-c lock_timeout=200 -c statement_timeout=30000")
    with psycopg.connect(servers.database_url("placet_worker")) as connection:
        connection.execute("SELECT id FROM runs_run WHERE id = %s FOR UPDATE", [gate.run_id])
        yield gate.run


def test_a_page_says_that_the_database_is_busy(alice: Visitor, held: Run) -> None:
    before, started = written(), time.monotonic()
    answer = alice.post(f"/runs/{held.id}/cancel/", confirmed="yes")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert time.monotonic() - started < 5
    assert "Nothing was done." in Page(answer).text
    check(answer)
    assert written() == before
    assert Run.objects.get(pk=held.id).cancel_requested_at is None


def test_a_call_is_told_so_as_a_problem(world: World, held: Run) -> None:
    caller, before = callers.with_token(world.alice), written()
    answer = caller.post(f"runs/{held.id}/cancel")
    problem = json.loads(answer.content)
    assert (answer.status_code, problem["type"]) == (503, "urn:placet:problem:busy")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert written() == before


def asked_of_the_database(servers: Servers, process: str, url: str = "") -> list[str]:
    """How long a process lets a statement wait for a lock, and when it lets one be planned."""
    script = (
        "import django; django.setup()\n"
        "from django.db import connection as c\n"
        "for name in ('lock_timeout', 'plan_cache_mode'):\n"
        "    print(c.cursor().execute(f'SHOW {name}').fetchone()[0])"
    )
    surroundings = servers.environment(process) | {"DJANGO_SETTINGS_MODULE": "console.settings"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=surroundings | ({"PLACET_DATABASE_URL": url} if url else {}),
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("process", "waits", "plans"),
    [
        ("web", "5s", "auto"),
        ("gatekeeper", "5s", "force_generic_plan"),
        ("worker", "0", "force_generic_plan"),
        ("executor", "0", "force_generic_plan"),
    ],
)
def test_web_and_gatekeeper_do_not_wait_for_ever_and_the_engine_is_planned_once(
    servers: Servers, process: str, waits: str, plans: str
) -> None:
    assert asked_of_the_database(servers, process) == [waits, plans]


def test_what_the_address_of_the_database_asks_for_counts(servers: Servers) -> None:
    url = servers.database_url("placet_gatekeeper")
    own = quote("-c lock_timeout=7s -c plan_cache_mode=auto")
    asked = asked_of_the_database(servers, "gatekeeper", f"{url}?options={own}")
    assert asked == ["7s", "auto"]
