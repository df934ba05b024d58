"""What leaves the processes as traces: real processes, a real receiver."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from credentials.redaction import forms
from runs.telemetry import trace_id
from tests.servers import Servers
from tests.telemetry.sink import Sink, listening
from tests.telemetry.traced import CANARY, RUN

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with listening() as sink:
        yield sink


def traced(servers: Servers, sink: Sink, what: str, process: str = "web", **variables: str) -> None:
    """Run `what` of `traced` as `process`; all its spans have arrived when this returns."""
    environment = servers.environment(process) | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        **variables,
    }
    subprocess.run(
        [sys.executable, "-m", "tests.telemetry.traced", what, sink.url],
        cwd=ROOT, env=environment, check=True, timeout=60,
    )  # fmt: skip


def assert_nothing_private(sink: Sink) -> None:
    everything = b"".join(sink.bodies).decode("latin-1")
    assert sink.bodies
    assert not [form for form in forms(CANARY) if form in everything]
    assert "token=" not in everything


def test_a_request_is_traced_without_query_cookie_and_authorization(
    servers: Servers, sink: Sink
) -> None:
    traced(
        servers, sink, "request",
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST=".*",
    )  # fmt: skip
    (received,) = [r for r in sink.spans if "django" in r.scope]
    assert received.service == "placet-web"
    assert received.attributes["http.request.method"] == 'string_value: "GET"'
    assert "/nowhere" in received.attributes["url.path"]
    assert_nothing_private(sink)


def test_outgoing_calls_are_traced_without_query_and_key(servers: Servers, sink: Sink) -> None:
    traced(servers, sink, "outgoing", process="executor")
    calls = [r for r in sink.spans if "httpx" in r.scope]
    assert [r.attributes["url.full"] for r in calls] == [
        f'string_value: "{sink.url}/{page}"' for page in ("found", "missing")
    ]
    assert {r.service for r in sink.spans} == {"placet-executor"}
    (failing,) = sink.named("failing call")
    assert "404" in failing.span.status.message
    assert_nothing_private(sink)


def test_a_span_that_ends_within_a_lease_leaks_the_value_in_none_of_its_parts(
    servers: Servers, sink: Sink
) -> None:
    traced(servers, sink, "lease", process="executor")
    mark = "[redacted:bank/payments/api_key]"
    (received,) = sink.spans
    span = received.span
    assert span.name == f"call {mark}"
    assert mark in received.attributes["plain"] and mark in received.attributes["many"]
    assert received.attributes["count"] == "int_value: 3"
    assert [event.name for event in span.events] == [f"sent {mark}", "exception"]
    assert mark in str(span.events[1].attributes) and mark in span.status.message
    assert mark in str(span.links[0].attributes)
    assert_nothing_private(sink)


def test_a_segment_has_the_trace_id_that_the_console_links_to(servers: Servers, sink: Sink) -> None:
    traced(servers, sink, "segment", process="worker")
    (root,), (attempt,) = sink.named("invoke_workflow w"), sink.named("execute_tool send_payment")
    assert root.span.trace_id.hex() == attempt.span.trace_id.hex() == trace_id(RUN, 7)
    assert attempt.span.parent_span_id == root.span.span_id
    (after,) = sink.named("after")
    assert after.span.trace_id != root.span.trace_id


def test_queries_are_traced_without_parameters_and_only_as_part_of_something(
    servers: Servers, sink: Sink
) -> None:
    traced(servers, sink, "queries")
    (query,) = [r for r in sink.spans if "psycopg" in r.scope]
    assert "SELECT %s::text AS kept" in query.attributes["db.query.text"]
    assert query.span.parent_span_id == sink.named("around")[0].span.span_id
    assert_nothing_private(sink)


def test_what_a_hint_starts_is_linked_to_its_sender_and_no_part_of_its_trace(
    servers: Servers, sink: Sink
) -> None:
    traced(servers, sink, "hint")
    (sent,) = sink.named("apply_async/runs.advance")
    worker = subprocess.Popen(
        [
            sys.executable, "-m", "celery", "-A", "console", "worker", "-Q", "runs",
            "--concurrency", "1", "--loglevel", "WARNING",
        ],
        cwd=ROOT,
        env=servers.environment("worker")
        | {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "OTEL_BSP_SCHEDULE_DELAY": "100"},
    )  # fmt: skip
    try:
        run = sink.wait_for(lambda r: sent.span.span_id in [k.span_id for k in r.span.links])
    finally:
        worker.terminate()
        worker.wait(30)
    (asking,) = sink.named("asking")
    assert run.span.name == "run/runs.advance"
    assert (sent.service, run.service) == ("placet-web", "placet-worker")
    assert sent.span.parent_span_id == asking.span.span_id
    assert run.span.trace_id != sent.span.trace_id
    assert not run.span.parent_span_id


@pytest.mark.parametrize("what", ["hint", "hint_lost"])
def test_the_span_of_a_hint_ends_and_is_not_current_afterwards(
    servers: Servers, sink: Sink, what: str
) -> None:
    variables = {"PLACET_BROKER_URL": "redis://127.0.0.1:1/0"} if what == "hint_lost" else {}
    traced(servers, sink, what, **variables)
    assert len(sink.named("apply_async/runs.advance")) == 1
    (afterwards,) = sink.named("afterwards")
    assert not afterwards.span.parent_span_id


def test_spans_are_exported_on_both_sides_of_a_fork_and_each_once(
    servers: Servers, sink: Sink
) -> None:
    traced(servers, sink, "fork", process="worker", OTEL_BSP_SCHEDULE_DELAY="60000")
    names = sorted(r.span.name for r in sink.spans)
    assert names == ["before the fork", "in the child", "in the parent"]


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_nothing_is_exported_unless_the_environment_asks_for_it(
    servers: Servers, sink: Sink, variables: dict[str, str]
) -> None:
    traced(servers, sink, "segment", **variables)
    assert sink.bodies == []


def test_a_name_given_by_the_environment_wins(servers: Servers, sink: Sink) -> None:
    traced(servers, sink, "segment", OTEL_SERVICE_NAME="payments")
    assert {r.service for r in sink.spans} == {"payments"}
