"""Spans of the engine. Telemetry is lossy by contract; the journal is not.

One trace per segment (the stretch of a run between two waits), its id derived from the run
and the fence, so that the console links to it without looking anything up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from opentelemetry import context, trace

tracer = trace.get_tracer("placet.runs")
next_trace_id: ContextVar[int | None] = ContextVar("placet_next_trace_id", default=None)
"""The id that the console's IdGenerator gives to the next root span."""
current_trace_id: ContextVar[str] = ContextVar("placet_current_trace_id", default="")
"""What journal rows written now carry."""


def trace_id(subject: UUID, fence: int) -> str:
    """The trace of the segment that the holder of this fence runs; 32 hex digits."""
    return hashlib.sha256(b"placet\0%s\0%d" % (str(subject).encode(), fence)).hexdigest()[:32]


@contextmanager
def segment(name: str, subject: UUID, fence: int, attributes: dict[str, Any]) -> Iterator[None]:
    """A root span in a trace of its own, whatever called."""
    id = trace_id(subject, fence)
    wanted = next_trace_id.set(int(id, 16))
    current = current_trace_id.set(id)
    try:
        with tracer.start_as_current_span(
            name,
            context=context.Context(),
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ):
            next_trace_id.set(None)
            yield
    finally:
        next_trace_id.reset(wanted)
        current_trace_id.reset(current)


@contextmanager
def attempt(tool: str, attributes: dict[str, Any]) -> Iterator[trace.Span]:
    """The span of one attempt of a step."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        # Nobody has asked for traces; spans of nothing would cost as much as the step.
        yield trace.INVALID_SPAN
        return
    with tracer.start_as_current_span(
        f"execute_tool {tool}",
        attributes={
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            **attributes,
        },
    ) as span:
        yield span
