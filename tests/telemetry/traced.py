"""What the traced processes of these tests do: `python -m tests.telemetry.traced WHAT SINK`.

Tracing changes a process for good (its middleware, its drivers), so the process of the
tests itself is never traced.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from uuid import UUID

import django
import httpx

CANARY = "sk_canary_spans_5c/+"
RUN = UUID("01939c5e-0000-7000-8000-000000000001")


def request(outside: str) -> None:
    """One request through the ASGI application, with something private in every part."""
    asyncio.run(ask())


async def ask() -> None:
    from console.asgi import application

    private = {"Authorization": f"Bearer {CANARY}", "Cookie": f"sessionid={CANARY}"}
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.get("/nowhere", params={"token": CANARY}, headers=private)


def outgoing(outside: str) -> None:
    """Calls of the outside world whose address carries a query and credentials."""
    with httpx.Client(headers={"Authorization": f"Bearer {CANARY}"}) as client:
        client.get(f"{outside}/found?token={CANARY}")
        with suppress(httpx.HTTPStatusError):
            raise_for(client, f"{outside}/missing?token={CANARY}")


def raise_for(client: httpx.Client, url: str) -> None:
    from opentelemetry import trace

    with trace.get_tracer("tests").start_as_current_span("failing call"):
        client.get(url).raise_for_status()


def lease(outside: str) -> None:
    """A span that ends while a value is held, and holds it in each of its parts."""
    from opentelemetry import trace

    from credentials import redaction

    tracer = trace.get_tracer("tests")
    with redaction.holding("bank/payments", {"api_key": CANARY}), suppress(ValueError):
        link = trace.Link(trace.INVALID_SPAN_CONTEXT, {"key": CANARY})
        with tracer.start_as_current_span(f"call {CANARY}", links=[link]) as span:
            span.set_attribute("plain", f"Bearer {CANARY}")
            span.set_attribute("many", [CANARY, "other"])
            span.set_attribute("count", 3)
            span.add_event(f"sent {CANARY}", {"body": CANARY})
            raise ValueError(f"the bank said no to {CANARY}")


def segment(outside: str) -> None:
    """A segment of a run with an attempt in it, and a span of nobody's."""
    from opentelemetry import trace

    from runs import telemetry

    with telemetry.segment("invoke_workflow w", RUN, 7, {"placet.run.id": str(RUN)}):
        with telemetry.attempt("send_payment", {"placet.attempt": 1}):
            pass
    with trace.get_tracer("tests").start_as_current_span("after"):
        pass


def drain(outside: str) -> None:
    """Everything that an executor would do now."""
    from runs import effects

    effects.drain(seconds=5)


def queries(outside: str) -> None:
    """A query within a span, and one outside of any."""
    from django.db import connection
    from opentelemetry import trace

    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text AS stray", [CANARY])
        with trace.get_tracer("tests").start_as_current_span("around"):
            cursor.execute("SELECT %s::text AS kept", [CANARY])


def hint(outside: str) -> None:
    """A hint sent while the broker is there, within a span of the sender."""
    from opentelemetry import trace

    from console.celery import send_hint

    with trace.get_tracer("tests").start_as_current_span("asking"):
        send_hint("runs", RUN)
    with trace.get_tracer("tests").start_as_current_span("afterwards"):
        pass


def hint_lost(outside: str) -> None:
    """The same while the broker is away."""
    from opentelemetry import trace

    from console.celery import send_hint

    with trace.get_tracer("tests").start_as_current_span("asking"), suppress(Exception):
        send_hint("runs", RUN)
    with trace.get_tracer("tests").start_as_current_span("afterwards"):
        pass


def fork(outside: str) -> None:
    """A span before a fork, and one on each side after it."""
    from opentelemetry import trace

    tracer = trace.get_tracer("tests")
    tracer.start_span("before the fork").end()
    child = os.fork()
    tracer.start_span("in the parent" if child else "in the child").end()
    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    globals()[sys.argv[1]](sys.argv[2])
