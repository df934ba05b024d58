"""Wrong bodies at every POST: the right status, a sentence, and nothing done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api import callers
from tests.harness import World
from tests.zoo import ledger

MALFORMED: dict[str, bytes] = {
    "not JSON": b'{"workflow": ',
    "a space": b" ",
    "not an object": b"[]",
    "a text": b'"paying"',
    "not UTF-8": b'{"workflow": "\xff"}',
    "UTF-16": '{"workflow": "paying_to"}'.encode("utf-16"),
    "a duplicate name": b'{"workflow": "a", "workflow": "paying_to"}',
    "a duplicate name inside": b'{"input": {"amount_minor": 1, "amount_minor": 1000000}}',
    "NaN": b'{"workflow": "paying_to", "input": {"text": NaN}}',
    "Infinity": b'{"workflow": "paying_to", "input": {"text": -Infinity}}',
    "a number beyond doubles": b'{"workflow": "paying_to", "input": {"amount_minor": 1e999}}',
    "a huge integer": b'{"input": {"amount_minor": 9007199254740993}}',
    "an endless integer": b'{"input": {"amount_minor": ' + b"9" * 5000 + b"}}",
    "NUL": b'{"workflow": "paying_to", "input": {"text": "a\\u0000b"}}',
    "NUL in a name": b'{"workflow": "paying_to", "input": {"te\\u0000xt": "a"}}',
    "half a surrogate pair": b'{"workflow": "paying_to", "input": {"text": "\\ud800"}}',
    "deep nesting": b'{"input": {"text": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "nesting without end": b"[" * 200_000,
}
PAYMENT = {"payee": "GB29NWBK60161331926819", "amount_minor": 500, "currency": "EUR"}
VALID: dict[str, Any] = {"workflow": "paying_to", "input": PAYMENT}
POSTS = ("runs", f"gates/{callers.ABSENT}/decisions")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_body_is_refused(anyone: callers.Caller, path: str, body: bytes) -> None:
    before = callers.written()
    assert callers.problem(anyone.post(path, body)) == (400, "malformed-body")
    assert callers.written() == before


@pytest.mark.parametrize("path", POSTS)
def test_two_megabytes_are_refused_with_the_name_of_the_limit(
    anyone: callers.Caller, path: str
) -> None:
    before = callers.written()
    response = anyone.post(path, {"workflow": "paying_to", "input": {"amounts": [1] * 2_000_000}})
    assert callers.problem(response) == (413, "too-large")
    assert "MAX_BYTES" in response.json()["detail"]
    assert callers.written() == before


def test_more_than_the_engine_keeps_is_refused(anyone: callers.Caller) -> None:
    before = callers.written()
    response = anyone.post("runs", {"workflow": "paying_to", "input": {"amounts": [1] * 300_000}})
    assert callers.problem(response) == (413, "too-large")
    assert callers.written() == before


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/json; charset=latin-1"]
)
def test_another_media_type_is_refused(anyone: callers.Caller, path: str, kind: str) -> None:
    before = callers.written()
    response = anyone.post(path, b"{}", Content_Type=kind)
    assert callers.problem(response) == (415, "unsupported-media-type")
    assert callers.written() == before


DIGEST = "0" * 64
WRONG_FIELDS: list[tuple[str, dict[str, Any] | None, str]] = [
    ("runs", VALID | {"amount": 5}, "/amount"),
    ("runs", {"workflow": "paying_to", "input": []}, "/input"),
    ("runs", {"workflow": 5}, "/workflow"),
    ("runs", {"workflow": "a b"}, "/workflow"),
    ("runs", {"input": {}}, "/workflow"),
    ("runs", None, ""),
    ("runs", VALID | {"input": {}}, "/input"),
    ("runs", VALID | {"input": PAYMENT | {"a/b": 1}}, "/input"),
    ("runs", VALID | {"input": PAYMENT | {"amount_minor": 5.5}}, "/input/amount_minor"),
    ("runs", VALID | {"input": PAYMENT | {"amount_minor": 5.0}}, "/input/amount_minor"),
    ("runs", VALID | {"input": PAYMENT | {"amount_minor": "500"}}, "/input/amount_minor"),
    ("runs", VALID | {"input": PAYMENT | {"amount_minor": True}}, "/input/amount_minor"),
    ("runs", VALID | {"input": PAYMENT | {"currency": None}}, "/input/currency"),
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
    anyone: callers.Caller, call: str, body: dict[str, Any] | None, pointer: str
) -> None:
    before = callers.written()
    response = anyone.post("runs" if call == "runs" else POSTS[1], body)
    status, _word = callers.problem(response)
    assert status == 422
    assert pointer in callers.faults(response), response.content
    assert callers.written() == before


SPOILED: list[tuple[dict[str, Any], str]] = [
    ({"amount_minor": -5}, "must be above zero"),
    ({"amount_minor": 0}, "must be above zero"),
    ({"amount_minor": 10**15 + 1}, "can be paid"),
    ({"currency": "XXQ"}, "is not an ISO 4217 currency"),
    ({"currency": "eur"}, "is not an ISO 4217 currency"),
    ({"payee": "GB29\u202e9186"}, "U+202E"),
    ({"payee": "GB29\u200b9186"}, "U+200B"),
    ({"payee": " "}, "payee must not be empty"),
]


@pytest.mark.parametrize(("spoiled", "said"), SPOILED)
def test_a_payment_that_cannot_be_meant_ends_its_run_in_words_and_opens_no_gate(
    world: World, anyone: callers.Caller, spoiled: dict[str, Any], said: str
) -> None:
    run = anyone.post("runs", VALID | {"input": PAYMENT | spoiled}).json()
    world.settle()
    shown = anyone.get(f"runs/{run['id']}").json()
    assert shown["status"] == "failed"
    assert said in shown["error"]["message"]
    assert shown["steps"] == []
    assert anyone.get("gates").json()["items"] == []
    assert ledger("pay-called") == []


def test_the_same_payment_unspoiled_waits_at_a_gate(world: World, anyone: callers.Caller) -> None:
    run = anyone.post("runs", VALID).json()
    world.settle()
    shown = anyone.get(f"runs/{run['id']}").json()
    (gate,) = anyone.get("gates", state="open").json()["items"]
    assert shown["status"] == "waiting" and shown["waiting_for"]
    assert shown["steps"][0]["gate_id"] == gate["id"]
    assert (gate["amount_minor"], gate["currency"]) == (500, "EUR")


def test_a_field_of_any_name_is_pointed_at_and_never_quoted_at_length(
    anyone: callers.Caller,
) -> None:
    response = anyone.post("runs", VALID | {"a/b~c": 1})
    assert callers.faults(response) == {"/a~1b~0c": "This field is not known."}
    spoiled = PAYMENT | {"payee": ["a" * 100_000]}
    long = anyone.post("runs", VALID | {"input": spoiled})
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
    anyone: callers.Caller, path: str, query: dict[str, Any], parameter: str
) -> None:
    response = anyone.get(path, **query)
    assert callers.problem(response) == (422, "invalid-request")
    assert parameter in callers.faults(response)


def test_events_refuse_a_sequence_that_no_journal_has(anyone: callers.Caller) -> None:
    run = anyone.post("runs", VALID).json()
    for after in ("-1", str(2**63), "a"):
        response = anyone.get(f"runs/{run['id']}/events", after=after)
        assert callers.problem(response) == (422, "invalid-request")


@pytest.mark.parametrize("path", ["runs/x", "gates/0", "runs/%00", "runs/x/events", "nothing", ""])
def test_a_path_that_leads_nowhere_is_a_problem_too(anyone: callers.Caller, path: str) -> None:
    assert callers.problem(anyone.get(path)) == (404, "not-found")


def test_another_method_names_those_that_are_allowed(anyone: callers.Caller) -> None:
    response = anyone.client.delete("/api/v1/runs", headers=anyone.headers)
    assert callers.problem(response) == (405, "method-not-allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "POST"}


def test_a_foreign_host_is_refused_with_a_problem(anyone: callers.Caller) -> None:
    response = anyone.client.get("/api/v1/runs", headers=anyone.headers | {"Host": "evil.example"})
    assert callers.problem(response) == (400, "bad-request")


def test_the_description_names_every_call_with_its_problems(anyone: callers.Caller) -> None:
    described = json.loads(anyone.get("openapi.json").content)
    assert ("post" in described["paths"]["/api/v1/runs"]) and len(described["paths"]) > 20
    for path, methods in described["paths"].items():
        for method, call in methods.items():
            assert "application/problem+json" in call["responses"]["default"]["content"]
            names = [parameter["name"] for parameter in call.get("parameters", [])]
            is_kept = method == "post" and path != "/api/v1/completions/{token}"
            assert ("Idempotency-Key" in names) == is_kept, path
