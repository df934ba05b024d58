"""Hints to open pages: never in the way of what they are about."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings

from console.live import publish
from tests.servers import Servers


@pytest.fixture
def heard(servers: Servers) -> Iterator[Any]:
    """What is published, for somebody who listens."""
    url = servers.environment("web")["PLACET_LIVE_URL"]
    with redis.Redis.from_url(url) as client, client.pubsub() as pubsub:
        pubsub.subscribe(publish.CHANNEL)
        pubsub.get_message(timeout=5)
        yield pubsub


def hints(heard: Any, *, until_seq: int) -> list[dict[str, Any]]:
    """All hints until the one with this sequence number, or until a second has passed."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not any(h["seq"] == until_seq for h in found):
        message = heard.get_message(ignore_subscribe_messages=True, timeout=0.2)
        found += [json.loads(message["data"])] if message else []
    return found


def test_a_thousand_changes_of_a_run_are_a_handful_of_hints(heard: Any) -> None:
    run = uuid.uuid4()

    for seq in range(1, 1001):
        publish.publish("main", "run", run, seq)

    found = hints(heard, until_seq=1000)
    assert found[-1] == {"tenant": "main", "subject": "run", "id": str(run), "seq": 1000}
    assert len(found) < 50


def test_a_forked_process_publishes_too(heard: Any) -> None:
    run = uuid.uuid4()
    publish.publish("main", "run", run, 1)
    hints(heard, until_seq=1)

    child = os.fork()
    if not child:
        publish.publish("main", "run", run, 2)
        time.sleep(1)
        os._exit(0)
    found = hints(heard, until_seq=2)
    os.waitpid(child, 0)

    assert found[-1]["seq"] == 2


def test_nobody_waits_for_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PLACET_LIVE_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(publish, "_publisher", None)
    begin = time.monotonic()

    for seq in range(5000):
        publish.publish("main", "run", uuid.uuid4(), seq)

    assert time.monotonic() - begin < 2
