"""Somebody outside who is told of notices: a server with a memory, and with moods.

It keeps every call it got, and what it has taken in by number, as a receiver of Standard Webhooks
does: each call's signature is verified with the library, and a number that it had is dropped.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.outside import serving

SLOW_SECONDS = 3.0
KEY = "whsec_" + "cGxhY2V0LXRlc3RzLXNpZ25pbmcta2V5LTAxMjM0NTY3"


class Receiver:
    """`moods` are the answers to come: a status, (status, headers), "drop" or "slow"."""

    def __init__(self) -> None:
        self.moods: list[Any] = []
        self.calls: list[dict[str, Any]] = []
        self.taken: dict[str, Any] = {}
        self.forged = 0
        self.url = ""

    def counts(self) -> Counter[str]:
        """How often each number was sent here."""
        return Counter(call["headers"].get("webhook-id", "") for call in self.calls)

    def hear(self, path: str, headers: dict[str, str], body: str) -> Any:
        self.calls.append({"path": path, "headers": headers, "body": body, "at": time.monotonic()})
        mood = self.moods.pop(0) if self.moods else 200
        if mood in (200, "drop", "slow") and "webhook-id" in headers:
            try:
                told = Webhook(KEY).verify(body, headers)
            except WebhookVerificationError:
                self.forged += 1
                return 401
            self.taken.setdefault(headers["webhook-id"], told)
        return mood


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            mood = receiver.hear(self.path, headers, body)
            if mood == "slow":
                time.sleep(SLOW_SECONDS)
            if mood == "drop":
                self.connection.close()
                return
            status, more = mood if isinstance(mood, tuple) else (mood, {})
            self.send_response(200 if status == "slow" else status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler) as address:
        receiver.url = f"{address}/hooks/Wz81kQpL0canary"
        yield receiver


def bodies(receiver: Receiver) -> list[Any]:
    return [json.loads(call["body"]) for call in receiver.calls]
