"""The same key at the same time, and a call that breaks half way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections

from approvals.models import Decision
from console.models import AuditEntry
from runs.models import Run
from tests.api import callers
from tests.harness import World, admin

START = {"workflow": "adding", "input": {"numbers": [1]}}


@pytest.fixture
def inside(alice: callers.Caller) -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Lets something happen once the run is written, and before the call commits."""

    waiting: list[Callable[[], Any]] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        done = execute(sql, params, many, context)
        if waiting and "INSERT INTO console_auditentry" in sql:
            waiting.pop()()
        return done

    with connection.execute_wrapper(watch):
        yield waiting.append


def test_a_call_whose_twin_is_at_work_is_told_to_try_again(
    alice: callers.Caller, inside: Callable[[Callable[[], Any]], None]
) -> None:
    twins: list[Any] = []
    inside(lambda: twins.append(_elsewhere(alice)))
    first = alice.post("runs", START, Idempotency_Key="k")
    assert first.status_code == 201
    assert callers.problem(twins[0]) == (409, "in-flight")
    again = alice.post("runs", START, Idempotency_Key="k")
    assert again.content == first.content
    assert Run.objects.count() == 1


def test_a_call_that_breaks_leaves_nothing_and_its_key_is_free(
    alice: callers.Caller, inside: Callable[[Callable[[], Any]], None]
) -> None:
    def breaks() -> None:
        raise RuntimeError("the password is swordfish")

    before = callers.written()
    inside(breaks)
    answer = alice.post("runs", START, Idempotency_Key="k")
    assert callers.problem(answer) == (500, "server-error")
    assert b"swordfish" not in answer.content
    assert callers.written() == before
    assert alice.post("runs", START, Idempotency_Key="k").status_code == 201


def test_twelve_equal_calls_at_once_start_one_run(alice: callers.Caller) -> None:
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: _call(alice), range(12)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    done = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in done}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in done) == 1
    assert Run.objects.count() == 1
    assert AuditEntry.objects.filter(action="run_started").count() == 1


def test_two_equal_decisions_at_once_are_one_vote_and_one_audit_entry(world: World) -> None:
    (gate,) = world.gates(world.park_at_gates(100))
    bob = callers.with_token(world.bob)
    body = {"verdict": "approve", "digest": bytes(gate.digest).hex()}
    with ThreadPoolExecutor(2) as threads, admin() as superuser:
        with superuser.transaction():
            # Both calls come as far as the run's lock before either may have it.
            superuser.execute(
                "SELECT 1 FROM runs_claim WHERE run_id = %s FOR UPDATE", [gate.run_id]
            )
            calls = [threads.submit(_decide, bob, gate.id, body) for _ in range(2)]
            wait_for_locks(2)
        answers = [call.result(timeout=20) for call in calls]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert Decision.objects.count() == 1
    assert AuditEntry.objects.filter(action="decided").count() == 1


def wait_for_locks(number: int) -> None:
    """Until so many connections wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    until = time.monotonic() + 15
    with admin() as observer:
        while observer.execute(waiting).fetchone() != (number,):
            assert time.monotonic() < until, "The calls never came to the lock."
            time.sleep(0.02)


def _decide(caller: callers.Caller, gate_id: Any, body: Any) -> Any:
    try:
        return callers.Caller(headers=caller.headers).post(f"gates/{gate_id}/decisions", body)
    finally:
        connections.close_all()


def _call(caller: callers.Caller) -> Any:
    try:
        return callers.Caller(headers=caller.headers).post("runs", START, Idempotency_Key="k")
    finally:
        connections.close_all()


def _elsewhere(caller: callers.Caller) -> Any:
    """Without waiting for the thread to end: were it to wait for this one, both would for ever."""
    thread = ThreadPoolExecutor(1)
    try:
        return thread.submit(_call, caller).result(timeout=10)
    finally:
        thread.shutdown(wait=False)
