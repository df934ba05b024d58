"""A receiver of OTLP over HTTP that keeps what it is sent; it also plays the outside world."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.outside import serving


@dataclass(frozen=True, kw_only=True)
class Received:
    """One span, with the names of who made it."""

    service: str
    scope: str
    span: Span

    @property
    def attributes(self) -> dict[str, str]:
        return {a.key: str(a.value).strip() for a in self.span.attributes}


@dataclass
class Sink:
    """What arrived, as spans and as the bytes that carried them."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def wait_for(self, wanted: Callable[[Received], bool], seconds: float = 20) -> Received:
        """The first span that is wanted; an AssertionError names all that came instead."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for received in list(self.spans):
                if wanted(received):
                    return received
            time.sleep(0.05)
        raise AssertionError(f"only these came: {[(r.service, r.span.name) for r in self.spans]}")

    def named(self, name: str) -> list[Received]:
        return [received for received in self.spans if received.span.name == name]

    def keep(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {a.key: a.value.string_value for a in resource.resource.attributes}
            self.spans += [
                Received(service=about["service.name"], scope=scope.scope.name, span=span)
                for scope in resource.scope_spans
                for span in scope.spans
            ]


@contextmanager
def listening() -> Iterator[Sink]:
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.keep(gzip.decompress(body) if self.headers["Content-Encoding"] else body)
            self._answer(200)

        def do_GET(self) -> None:
            self._answer(404 if "missing" in self.path else 200)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is printed between the test's own lines."""

    with serving(Handler) as sink.url:
        yield sink
