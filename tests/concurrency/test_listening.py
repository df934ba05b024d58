"""Hints past Celery: a child with nothing to do takes the next from Valkey with its own hands."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.db import connection

from console import celery, listening
from runs import dispatch, limits
from tests.harness import World, admin
from tests.servers import Servers
from tests.stack import Stack

QUEUE = "runs"


@pytest.fixture(autouse=True)
def valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """With nothing said, and nobody listening."""
    monkeypatch.setattr(listening, "_marks_at", 0.0)
    with redis.Redis.from_url(settings.PLACET_BROKER_URL) as valkey:
        valkey.flushdb()
        yield valkey
        valkey.flushdb()


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LISTEN_SECONDS", 0.4)
    monkeypatch.setattr(listening, "WAIT_SECONDS", 0.1)


def test_a_hint_goes_through_celery_until_a_child_listens(brief: None) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    assert not listening.tell(QUEUE, first)
    listening.mark(QUEUE)
    # What was said before anybody listened is not lost either.
    assert list(listening.following(QUEUE, second)) == [second, first]
    assert listening.tell(QUEUE, first)


def test_messages_that_nobody_takes_let_a_child_return_to_celery(
    monkeypatch: pytest.MonkeyPatch, valkey: redis.Redis
) -> None:
    monkeypatch.setattr(listening, "MARK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(listening, "WAIT_SECONDS", 0.1)
    valkey.lpush(QUEUE, b"a message of Celery's")
    began = time.monotonic()
    assert list(listening.following(QUEUE, listening.NOBODY)) == [None]
    assert time.monotonic() - began < limits.LISTEN_SECONDS / 10


@pytest.mark.parametrize("are_busy", [True, False])
def test_hints_become_no_messages_while_all_who_listen_are_busy(
    monkeypatch: pytest.MonkeyPatch, are_busy: bool
) -> None:
    monkeypatch.setattr(settings, "PLACET_PROCESS", "worker")
    monkeypatch.setattr(celery, "_broken_until", 0.0)
    monkeypatch.setattr(celery.state, "active_requests", {"a slice"} if are_busy else set())
    celery.let_children_listen()
    assert listening.tell(QUEUE, uuid.uuid4()) is are_busy


def test_a_message_that_names_nobody_lets_a_child_look_by_itself(brief: None) -> None:
    assert list(listening.following(QUEUE, listening.NOBODY)) == [None]


def test_what_is_no_id_is_not_heard(brief: None, valkey: redis.Redis) -> None:
    id = uuid.uuid4()
    for told in (b"no id", b"\xff\xfe", b"", str(id).encode()):
        valkey.lpush(f"placet:hints:{QUEUE}", told)
    assert list(listening.following(QUEUE, listening.NOBODY)) == [None, id]


def test_no_more_hints_are_kept_than_the_limit_says(brief: None, valkey: redis.Redis) -> None:
    ids = [uuid.uuid4() for _ in range(listening.MOST + 1)]
    for id in ids:
        listening.tell(QUEUE, id)
    assert valkey.llen(f"placet:hints:{QUEUE}") == listening.MOST
    assert list(listening.following(QUEUE, listening.NOBODY)) == [None, *ids[1:]]


def test_who_cannot_reach_valkey_looks_by_itself(
    brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = redis.Redis.from_url("redis://127.0.0.1:1/0", retry=None)
    monkeypatch.setattr(listening, "_client", lambda: away)
    first = uuid.uuid4()
    heard = list(listening.following(QUEUE, first))
    assert heard[0] == first and len(heard) > 1 and set(heard[1:]) == {None}


def test_a_child_whose_process_is_to_end_listens_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "_ends", bytearray(1))
    began = time.monotonic()
    heard = listening.following(QUEUE, listening.NOBODY)
    assert next(iter(heard)) is None
    listening.end()
    assert list(heard) == []
    assert time.monotonic() - began < limits.LISTEN_SECONDS / 10


@pytest.mark.parametrize(
    "address, endpoint",
    [
        ("amqp://elsewhere", ""),
        ("redis://here", "http://127.0.0.1:4318"),
        ("rediss://here?ssl_cert_reqs=CERT_NONE", ""),
    ],
)
def test_another_broker_and_traces_have_every_hint_carried_by_celery(
    monkeypatch: pytest.MonkeyPatch, address: str, endpoint: str
) -> None:
    monkeypatch.setattr(settings, "PLACET_BROKER_URL", address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    forget_what_was_found_out()
    try:
        id = uuid.uuid4()
        assert not listening.tell(QUEUE, id)
        assert list(listening.following(QUEUE, id)) == [id]
    finally:
        forget_what_was_found_out()


def forget_what_was_found_out() -> None:
    listening.is_possible.cache_clear()
    listening._client.cache_clear()


def test_a_connection_that_the_server_closed_is_let_go_before_the_next_hint(world: World) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    dispatch.plug_listener(lambda queue, first: [first, second])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        kept = connection.connection
        hints = dispatch.following("runs", first)
        assert next(hints) == first and connection.connection is kept
        _end_from_outside()
        assert next(hints) == second
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
    finally:
        dispatch.plug_listener(None)


def _end_from_outside() -> None:
    raw = connection.connection
    with admin() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [raw.info.backend_pid])
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        while other.execute(gone, [raw.info.backend_pid]).fetchone() != (0,):
            time.sleep(0.01)


@pytest.mark.processes
def test_while_children_listen_no_hint_is_a_message_and_they_end_when_told(
    world: World, servers: Servers, valkey: redis.Redis
) -> None:
    with Stack(servers) as stack:
        stack.wait_until(
            lambda: valkey.exists(*(f"placet:listening:{q}" for q in celery.TASKS)) == 3,
            "all to listen",
        )
        sent = celery._sent
        run = world.start("adding", numbers=[1, 2, 3])
        celery.send_hint("runs", run.id)
        assert celery._sent == sent
        stack.wait_until(lambda: world.run_now(run).status == "succeeded", "the run to end")
        began = time.monotonic()
    # Nothing was in flight: they end at once, and not after Celery's patience with it.
    assert time.monotonic() - began < 10
