"""POST runs, and the same call twice."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from console.models import AuditEntry, IdempotentRequest
from runs.models import Run
from tests.api import world

pytestmark = pytest.mark.django_db
START = {"workflow": world.WORKFLOW, "input": {"text": "Zahlung über 5 €"}}


def test_a_start_answers_201_with_the_run_and_writes_one_audit_entry(caller: world.Caller) -> None:
    response = caller.post("runs", START)
    assert response.status_code == 201
    body = response.json()
    run = Run.objects.get()
    assert body["id"] == str(run.id)
    assert body["input"] == START["input"]
    assert body["requested_by"] == "alice"
    assert body["created_at"].endswith("Z")
    assert body["steps"] == []
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject_id) == ("alice", "run_started", str(run.id))
    assert entry.address == "127.0.0.1"


def test_the_same_key_and_request_is_done_once_and_answered_twice(caller: world.Caller) -> None:
    first = caller.post("runs", START, Idempotency_Key="k1")
    again = caller.post("runs", START, Idempotency_Key="k1")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Run.objects.count() == 1
    assert AuditEntry.objects.count() == 1


def test_the_order_of_names_does_not_make_it_another_request(caller: world.Caller) -> None:
    caller.post("runs", b'{"workflow":"note_down","input":{"text":"a"}}', Idempotency_Key="k1")
    again = caller.post(
        "runs", b'{"input": {"text": "a"}, "workflow": "note_down"}', Idempotency_Key="k1"
    )
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_same_key_with_another_request_is_refused(caller: world.Caller) -> None:
    caller.post("runs", START, Idempotency_Key="k1")
    before = world.written()
    other = caller.post("runs", START | {"input": {"text": "b"}}, Idempotency_Key="k1")
    assert world.problem(other) == (422, "idempotency-mismatch")
    assert world.written() == before


def test_the_same_key_for_another_path_is_refused(caller: world.Caller) -> None:
    run = caller.post("runs", START, Idempotency_Key="k1").json()
    other = caller.post(f"runs/{run['id']}/cancel", Idempotency_Key="k1")
    assert world.problem(other) == (422, "idempotency-mismatch")


def test_a_key_that_started_the_run_for_somebody_else_answers_200(caller: world.Caller) -> None:
    first = caller.post("runs", START, Idempotency_Key="k1")
    anna = world.by_token(world.make_token(world.make_person("anna", "operator")))
    again = anna.post("runs", START, Idempotency_Key="k1")
    assert again.status_code == 200
    assert again.json()["id"] == first.json()["id"]
    assert Run.objects.count() == 1


def test_a_refusal_leaves_its_key_free(caller: world.Caller) -> None:
    refused = caller.post("runs", START | {"workflow": "none"}, Idempotency_Key="k1")
    assert world.problem(refused) == (422, "unknown-workflow")
    assert not IdempotentRequest.objects.exists()
    assert caller.post("runs", START, Idempotency_Key="k1").status_code == 201


@pytest.mark.parametrize("key", ["", "a" * 256, "with space", "tab\t"])
def test_a_key_out_of_form_is_refused(caller: world.Caller, key: str) -> None:
    before = world.written()
    assert world.problem(caller.post("runs", START, Idempotency_Key=key)) == (
        400,
        "bad-idempotency-key",
    )
    assert world.written() == before


def test_input_that_does_not_fit_names_each_field(caller: world.Caller) -> None:
    response = caller.post(
        "runs", {"workflow": world.WORKFLOW, "input": {"amount_minor": "5", "colour": "red"}}
    )
    assert world.problem(response) == (422, "invalid-input")
    assert "/input/amount_minor" in world.faults(response)


def test_a_cancelled_run_says_who_asked_and_asking_twice_is_asking_once(
    caller: world.Caller,
) -> None:
    run = caller.post("runs", START).json()
    first = caller.post(f"runs/{run['id']}/cancel")
    again = caller.post(f"runs/{run['id']}/cancel", {})
    assert first.status_code == again.status_code == 202
    assert again.json()["cancel_requested_by"] == "alice"
    assert AuditEntry.objects.filter(action="cancel_requested").count() == 1


def test_cancelling_takes_no_body(caller: world.Caller) -> None:
    run = caller.post("runs", START).json()
    response = caller.post(f"runs/{run['id']}/cancel", {"force": True})
    assert world.problem(response) == (422, "invalid-request")
    assert Run.objects.get().cancel_requested_at is None


def test_a_run_of_another_tenant_is_not_there(caller: world.Caller, olivia: Any) -> None:
    run = caller.post("runs", START).json()
    stranger = world.by_token(world.make_token(olivia))
    for answer in (
        stranger.get(f"runs/{run['id']}"),
        stranger.get(f"runs/{run['id']}/events"),
        stranger.post(f"runs/{run['id']}/cancel"),
        stranger.get(f"runs/{uuid.uuid4()}"),
    ):
        assert world.problem(answer) == (404, "not-found")
    assert stranger.get("runs").json()["items"] == []
    assert caller.get(f"runs/{run['id']}").status_code == 200
