"""Bodies that say nothing of their length are stopped before anything takes them in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from console.bodies import MAX_BYTES, MAX_DROPPED_BYTES, limit_bodies


class Exchange:
    """One request in chunks, at an application that answers with the length it was given."""

    def __init__(self, chunks: Iterable[bytes], path: str = "/api/v1/runs") -> None:
        self.chunks = iter(chunks)
        self.path = path
        self.taken = 0
        self.sent: list[Any] = []
        self.reached: bytes | None = None

    def run(self) -> Exchange:
        scope = {"type": "http", "path": self.path, "headers": []}
        asyncio.run(limit_bodies(self._application)(scope, self._receive, self._send))
        return self

    async def _receive(self) -> dict[str, Any]:
        chunk = next(self.chunks, None)
        self.taken += len(chunk or b"")
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        assert message["more_body"] is False
        self.reached = message["body"]


def test_a_body_within_the_limit_arrives_whole() -> None:
    assert Exchange([b"a" * 1000, b"", b"b" * 1000]).run().reached == b"a" * 1000 + b"b" * 1000
    assert Exchange([b"a" * MAX_BYTES]).run().reached == b"a" * MAX_BYTES
    assert Exchange([]).run().reached == b""


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 2 * MAX_BYTES])
def test_one_byte_more_is_a_problem_and_reaches_nothing(size: int) -> None:
    done = Exchange([b"a" * (size - 1), b"a"]).run()
    assert done.reached is None
    start, body = done.sent
    assert start["status"] == 413
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    assert "MAX_BYTES" in json.loads(body["body"])["detail"]


def test_a_page_is_refused_in_plain_words() -> None:
    start, body = Exchange([b"a" * MAX_BYTES, b"a"], path="/runs/start/").run().sent
    assert dict(start["headers"])[b"content-type"].startswith(b"text/plain")
    assert body["body"].startswith(b"The body is longer than")


def test_a_body_without_end_is_left_at_a_bound() -> None:
    def endless() -> Iterable[bytes]:
        while True:
            yield b"a" * 65_536

    done = Exchange(endless()).run()
    assert done.sent[0]["status"] == 413
    assert done.taken <= MAX_DROPPED_BYTES + 65_536
