"""Somebody else's HTTP server, which repeats whatever it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.outside import serving


class Echo(BaseHTTPRequestHandler):
    """Refuses on a path with a name in it, accepts on others; the body says it all again."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        said = {"path": self.path, "headers": dict(self.headers), "sent": sent}
        body = json.dumps(said).encode()
        self.send_response(403 if self.path.startswith("/echo/") else 200, sent[:20])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed between the test's own lines."""


@contextmanager
def echoing() -> Iterator[str]:
    with serving(Echo) as address:
        yield address
