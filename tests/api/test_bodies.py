"""Wrong bodies at every POST: the right status, a sentence, and nothing done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api import world

pytestmark = pytest.mark.django_db

MALFORMED: dict[str, bytes] = {
    "not JSON": b'{"workflow": ',
    "a space": b" ",
    "not an object": b"[]",
    "a text": b'"note_down"',
    "not UTF-8": b'{"workflow": "\xff"}',
    "UTF-16": '{"workflow": "note_down"}'.encode("utf-16"),
    "a duplicate name": b'{"workflow": "a", "workflow": "note_down"}',
    "a duplicate name inside": b'{"workflow": "note_down", "input": {"text": "a", "text": "b"}}',
    "NaN": b'{"workflow": "note_down", "input": {"text": NaN}}',
    "Infinity": b'{"workflow": "note_down", "input": {"text": -Infinity}}',
    "a number beyond doubles": b'{"workflow": "note_down", "input": {"amount_minor": 1e999}}',
    "a huge integer": b'{"input": {"amount_minor": 9007199254740993}}',
    "an endless integer": b'{"input": {"amount_minor": ' + b"9" * 5000 + b"}}",
    "NUL": b'{"workflow": "note_down", "input": {"text": "a\\u0000b"}}',
    "NUL in a name": b'{"workflow": "note_down", "input": {"te\\u0000xt": "a"}}',
    "half a surrogate pair": b'{"workflow": "note_down", "input": {"text": "\\ud800"}}',
    "deep nesting": b'{"input": {"text": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "nesting without end": b"[" * 200_000,
}
POSTS = ("runs", f"gates/{world.ABSENT}/decisions")


@pytest.fixture
def anyone(alice: Any) -> world.Caller:
    """Somebody who has every right, so that no refusal is for want of one."""
    return world.by_token(world.make_token(world.make_person("all", "operator", "reviewer")))


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_refused(anyone: world.Caller, path: str, body: bytes) -> None:
    before = world.written()
    assert world.problem(anyone.post(path, body)) == (400, "malformed-body")
    assert world.written() == before


@pytest.mark.parametrize("path", POSTS)
def test_two_megabytes_are_refused_with_the_name_of_the_limit(
    anyone: world.Caller, path: str
) -> None:
    before = world.written()
    response = anyone.post(path, {"workflow": world.WORKFLOW, "input": {"text": "a" * 2_000_000}})
    assert world.problem(response) == (413, "too-large")
    assert "MAX_BYTES" in response.json()["detail"]
    assert world.written() == before


def test_more_than_the_engine_keeps_is_refused(anyone: world.Caller) -> None:
    before = world.written()
    response = anyone.post("runs", {"workflow": world.WORKFLOW, "input": {"text": "a" * 300_000}})
    assert world.problem(response) == (413, "too-large")
    assert world.written() == before


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/json; charset=latin-1"]
)
def test_another_media_type_is_refused(anyone: world.Caller, path: str, kind: str) -> None:
    before = world.written()
    response = anyone.post(path, b"{}", Content_Type=kind)
    assert world.problem(response) == (415, "unsupported-media-type")
    assert world.written() == before


VALID = {"workflow": world.WORKFLOW, "input": {"text": "a"}}
DIGEST = "0" * 64
WRONG_FIELDS: list[tuple[str, dict[str, Any] | None, str]] = [
    ("runs", VALID | {"amount": 5}, "/amount"),
    ("runs", {"workflow": world.WORKFLOW, "input": []}, "/input"),
    ("runs", {"workflow": 5}, "/workflow"),
    ("runs", {"workflow": "a b"}, "/workflow"),
    ("runs", {"input": {}}, "/workflow"),
    ("runs", None, ""),
    ("runs", {"workflow": world.WORKFLOW, "input": {}}, "/input"),
    ("runs", {"workflow": world.WORKFLOW, "input": {"text": "a", "a/b": 1}}, "/input"),
    ("runs", VALID | {"input": {"text": "a", "amount_minor": 5.5}}, "/input/amount_minor"),
    ("runs", VALID | {"input": {"text": "a", "amount_minor": True}}, "/input/amount_minor"),
    ("gates", {"verdict": "approve"}, "/digest"),
    ("gates", {"verdict": "approve", "digest": "short"}, "/digest"),
    ("gates", {"verdict": "approve", "digest": DIGEST.upper() + "A"}, "/digest"),
    ("gates", {"verdict": "maybe", "digest": DIGEST}, "/verdict"),
    ("gates", {"verdict": "deny", "digest": DIGEST, "reason": "a" * 1001}, "/reason"),
    ("gates", {"verdict": "deny", "digest": DIGEST, "person": "bob"}, "/person"),
    ("gates", {"verdict": "deny", "digest": DIGEST, "reason": None}, "/reason"),
]


@pytest.mark.parametrize(("call", "body", "pointer"), WRONG_FIELDS)
def test_a_wrong_field_is_named(
    anyone: world.Caller, call: str, body: dict[str, Any] | None, pointer: str
) -> None:
    before = world.written()
    response = anyone.post("runs" if call == "runs" else POSTS[1], body)
    status, _word = world.problem(response)
    assert status == 422
    assert pointer in world.faults(response), response.content
    assert world.written() == before


def test_a_field_of_any_name_is_pointed_at_and_never_quoted_at_length(
    anyone: world.Caller,
) -> None:
    response = anyone.post("runs", VALID | {"a/b~c": 1})
    assert world.faults(response) == {"/a~1b~0c": "This field is not known."}
    long = anyone.post("runs", {"workflow": world.WORKFLOW, "input": {"text": ["a" * 100_000]}})
    assert len(long.content) < 2_000


WRONG_QUERIES = [
    ("runs", {"status": "lost"}, "status"),
    ("runs", {"limit": "0"}, "limit"),
    ("runs", {"limit": "201"}, "limit"),
    ("runs", {"limit": "many"}, "limit"),
    ("runs", {"state": "ready"}, "state"),
    ("runs", {"workflow": "a\0b"}, "workflow"),
    ("runs", {"cursor": "x"}, "cursor"),
    ("runs", {"cursor": "a" * 1000}, "cursor"),
    ("runs", {"status": ["ready", "failed"]}, "status"),
    ("gates", {"state": "ajar"}, "state"),
    ("gates", {"status": "open"}, "status"),
    ("gates", {"cursor": "é"}, "cursor"),
]


@pytest.mark.parametrize(("path", "query", "parameter"), WRONG_QUERIES)
def test_a_wrong_parameter_is_named(
    anyone: world.Caller, path: str, query: dict[str, Any], parameter: str
) -> None:
    response = anyone.get(path, **query)
    assert world.problem(response) == (422, "invalid-request")
    assert parameter in world.faults(response)


def test_events_refuse_a_sequence_that_no_journal_has(anyone: world.Caller) -> None:
    run = anyone.post("runs", VALID).json()
    for after in ("-1", str(2**63), "a"):
        response = anyone.get(f"runs/{run['id']}/events", after=after)
        assert world.problem(response) == (422, "invalid-request")


@pytest.mark.parametrize("path", ["runs/x", "gates/0", "runs/%00", "runs/x/events", "nothing", ""])
def test_a_path_that_leads_nowhere_is_a_problem_too(anyone: world.Caller, path: str) -> None:
    assert world.problem(anyone.get(path)) == (404, "not-found")


def test_another_method_names_those_that_are_allowed(anyone: world.Caller) -> None:
    response = anyone.client.delete("/api/v1/runs", headers=anyone.headers)
    assert world.problem(response) == (405, "method-not-allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "POST"}


def test_a_foreign_host_is_refused_with_a_problem(anyone: world.Caller) -> None:
    response = anyone.client.get("/api/v1/runs", headers=anyone.headers | {"Host": "evil.example"})
    assert world.problem(response) == (400, "bad-request")


def test_the_description_names_every_call_with_its_problems(anyone: world.Caller) -> None:
    described = json.loads(anyone.get("openapi.json").content)
    calls = {(method, path) for path, methods in described["paths"].items() for method in methods}
    assert calls == {
        ("post", "/api/v1/runs"),
        ("get", "/api/v1/runs"),
        ("get", "/api/v1/runs/{run_id}"),
        ("get", "/api/v1/runs/{run_id}/events"),
        ("post", "/api/v1/runs/{run_id}/cancel"),
        ("get", "/api/v1/gates"),
        ("get", "/api/v1/gates/{gate_id}"),
        ("post", "/api/v1/gates/{gate_id}/decisions"),
    }
    for methods in described["paths"].values():
        for method, call in methods.items():
            assert "application/problem+json" in call["responses"]["default"]["content"]
            names = [parameter["name"] for parameter in call.get("parameters", [])]
            assert ("Idempotency-Key" in names) == (method == "post")
