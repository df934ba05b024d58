"""A row that a worker holds is no reason for the console to stand still."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

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


@pytest.mark.parametrize(
    ("process", "waits"), [("web", "5s"), ("gatekeeper", "5s"), ("worker", "0"), ("executor", "0")]
)
def test_web_and_gatekeeper_do_not_wait_for_ever(
    servers: Servers, process: str, waits: str
) -> None:
    script = (
        "import django; django.setup()\n"
        "from django.db import connection as c\n"
        "print(c.cursor().execute('SHOW lock_timeout').fetchone()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=servers.environment(process) | {"DJANGO_SETTINGS_MODULE": "console.settings"},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == waits
