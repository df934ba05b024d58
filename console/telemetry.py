"""OpenTelemetry for Django, Celery, PostgreSQL and outgoing HTTP, when the environment asks:
see `console.tracing`.

No span leaves this process as it was recorded. When it ends it is built anew, without the
values of secrets, query strings, credentials in addresses and headers that carry any. That
is done while the lease of a secret still lasts, because afterwards nobody knows its value.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanKind, Status

from console.addresses import without_tokens
from credentials import redaction
from runs import telemetry as runs_telemetry

logger = logging.getLogger(__name__)

# With these conventions the instrumentation itself leaves the query out of server spans.
STABILITY = "http,database,gen_ai_latest_experimental"

_QUERY = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s?#'\"<>]*)[?#][^\s'\"<>]*")
_USER_INFO = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#'\"<>]*@")
_QUERY_KEYS = {"url.query", "url.fragment"}
_TARGET_KEYS = {"http.target", "url.path"}
_PRIVATE_HEADER = re.compile(
    r"http\.(request|response)\.header\..*(authorization|cookie|token|secret|key|password)"
)
_SQL_SCOPE = "opentelemetry.instrumentation.psycopg"

_is_set_up = False


def setup() -> None:
    """Start tracing; a second call does nothing."""
    global _is_set_up
    if _is_set_up:
        return
    _is_set_up = True
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", STABILITY)
    provider = TracerProvider(resource=_resource(), id_generator=RunIds())
    provider.add_span_processor(ScrubbingProcessor())
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument()
    PsycopgInstrumentor().instrument()
    HTTPXClientInstrumentor().instrument()
    # A message is a hint and may come late or twice: what it starts is linked to whoever
    # sent it, and is no part of the sender's trace.
    HintInstrumentor().instrument(use_span_links=True)  # type: ignore[no-untyped-call]


def _resource() -> Resource:
    if os.environ.get("OTEL_SERVICE_NAME"):
        return Resource.create()
    return Resource.create({"service.name": f"placet-{settings.PLACET_PROCESS}"})


class RunIds(RandomIdGenerator):
    """Random ids, except that the engine says the trace id of a segment of a run.

    It is derived from the run and the fence, so that the console links to a trace without
    having stored or looked up anything.
    """

    def generate_trace_id(self) -> int:
        return runs_telemetry.next_trace_id.get() or super().generate_trace_id()


class HintInstrumentor(CeleryInstrumentor):
    """Celery's instrumentation, with a sender's span that always ends.

    The original leaves it open, and current in the sender's thread, when the broker is away
    or the task is sent by its name alone; Placet expects the first and does the second.
    """

    def _trace_before_publish(self, *args: Any, **kwargs: Any) -> None:
        name = str(kwargs.get("sender"))
        with self._tracer.start_as_current_span(
            f"apply_async/{name}",
            kind=SpanKind.PRODUCER,
            attributes={
                "celery.action": "apply_async",
                "celery.task_name": name,
                "messaging.destination.name": str(kwargs.get("routing_key") or ""),
            },
        ):
            inject(kwargs["headers"])

    @staticmethod
    def _trace_after_publish(*args: Any, **kwargs: Any) -> None:
        """There is nothing left to end."""


class ScrubbingProcessor(SpanProcessor):
    """Hands on scrubbed copies of spans, in batches.

    The sender of batches is made when the first span ends, and again in a forked child: its
    thread does not survive a fork, and its connection must not be used by two processes.
    """

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._batches: BatchSpanProcessor | None = None

    def on_end(self, span: ReadableSpan) -> None:
        if not _is_stray_query(span):
            self._sender().on_end(scrubbed(span))

    def shutdown(self) -> None:
        if self._batches is not None:
            self._batches.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._batches is None or self._batches.force_flush(timeout_millis)

    def _sender(self) -> BatchSpanProcessor:
        with self._lock:
            if self._batches is None:
                self._batches = BatchSpanProcessor(OTLPSpanExporter())
            return self._batches


def _is_stray_query(span: ReadableSpan) -> bool:
    """A query outside of every request, message and attempt is the beat of an idle process.

    Kept, these would be most of what is ever exported.
    """
    scope = span.instrumentation_scope
    return span.parent is None and scope is not None and scope.name == _SQL_SCOPE


def scrubbed(span: ReadableSpan) -> ReadableSpan:
    """A copy of an ended span with nothing private in name, attributes, events and status.

    A copy, because an ended span refuses every change.
    """
    return ReadableSpan(
        name=_clean_text(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_clean(span.attributes),
        events=[Event(_clean_text(e.name), _clean(e.attributes), e.timestamp) for e in span.events],
        links=[Link(link.context, _clean(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(
            span.status.status_code,
            span.status.description and _clean_text(span.status.description),
        ),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _clean(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        # A name may be made of what somebody was sent, as the keys of a form are.
        _clean_text(key): _clean_value(key, value)
        for key, value in (attributes or {}).items()
        if key not in _QUERY_KEYS and not _PRIVATE_HEADER.match(key)
    }


def _clean_value(key: str, value: Any) -> Any:
    if isinstance(value, str):
        text = _clean_text(value)
        return re.split("[?#]", text, maxsplit=1)[0] if key in _TARGET_KEYS else text
    if isinstance(value, tuple | list):
        return [_clean_value(key, item) for item in value]
    return redaction.scrub(value)


def _clean_text(text: str) -> str:
    text = without_tokens(redaction.scrub_text(text))
    return _QUERY.sub(r"\1", _USER_INFO.sub(r"\1", text))
