"""POST runs, and the same call twice."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from console.models import AuditEntry, IdempotentRequest
from runs.lifecycle import start_run
from runs.models import Run
from tests.api import callers
from tests.harness import World, as_role

START: dict[str, Any] = {"workflow": "echoing", "input": {"value": "Zahlung über 5 €"}}


def test_a_start_answers_201_with_the_run_and_writes_one_audit_entry(alice: callers.Caller) -> None:
    response = alice.post("runs", START)
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


def test_the_same_key_and_request_is_done_once_and_answered_twice(alice: callers.Caller) -> None:
    first = alice.post("runs", START, Idempotency_Key="k1")
    again = alice.post("runs", START, Idempotency_Key="k1")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Run.objects.count() == 1
    assert AuditEntry.objects.count() == 1


def test_the_order_of_names_does_not_make_it_another_request(alice: callers.Caller) -> None:
    alice.post("runs", b'{"workflow":"echoing","input":{"value":"a"}}', Idempotency_Key="k1")
    again = alice.post(
        "runs", b'{"input": {"value": "a"}, "workflow": "echoing"}', Idempotency_Key="k1"
    )
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_same_key_with_another_request_is_refused(alice: callers.Caller) -> None:
    alice.post("runs", START, Idempotency_Key="k1")
    before = callers.written()
    other = alice.post("runs", START | {"input": {"value": "b"}}, Idempotency_Key="k1")
    assert callers.problem(other) == (422, "idempotency-mismatch")
    assert callers.written() == before


def test_the_same_key_for_another_path_is_refused(alice: callers.Caller) -> None:
    one, other = (alice.post("runs", START).json()["id"] for _ in range(2))
    assert alice.post(f"runs/{one}/cancel", Idempotency_Key="k1").status_code == 202
    answer = alice.post(f"runs/{other}/cancel", Idempotency_Key="k1")
    assert callers.problem(answer) == (422, "idempotency-mismatch")
    assert Run.objects.get(id=other).cancel_requested_at is None


def test_a_key_belongs_to_the_person_who_sent_it(world: World, alice: callers.Caller) -> None:
    run = alice.post("runs", START).json()["id"]
    anna = callers.with_token(callers.make_person("anna", "operator", tenant=world.tenant))
    alice.post(f"runs/{run}/cancel", Idempotency_Key="k1")
    answer = anna.post(f"runs/{run}/cancel", Idempotency_Key="k1")
    assert answer.status_code == 202 and "Idempotent-Replayed" not in answer.headers


def test_a_key_that_had_started_the_run_elsewhere_answers_200(
    world: World, alice: callers.Caller
) -> None:
    with as_role("placet_web"):
        run, _ = start_run(
            tenant=world.tenant,
            workflow=START["workflow"],
            input=START["input"],
            requested_by=world.alice,
            idempotency_key="k1",
        )
    again = alice.post("runs", START, Idempotency_Key="k1")
    assert again.status_code == 200
    assert again.json()["id"] == str(run.id)
    assert Run.objects.count() == 1


def test_a_key_of_another_person_is_refused(world: World, alice: callers.Caller) -> None:
    """Else the second would be taken for no requester, and could decide about it."""
    alice.post("runs", START, Idempotency_Key="k1")
    anna = callers.with_token(callers.make_person("anna", "operator", tenant=world.tenant))
    again = anna.post("runs", START, Idempotency_Key="k1")
    assert callers.problem(again) == (422, "idempotency-mismatch")
    assert Run.objects.count() == 1


def test_a_refusal_leaves_its_key_free(alice: callers.Caller) -> None:
    refused = alice.post("runs", START | {"workflow": "none"}, Idempotency_Key="k1")
    assert callers.problem(refused) == (422, "unknown-workflow")
    assert not IdempotentRequest.objects.exists()
    assert alice.post("runs", START, Idempotency_Key="k1").status_code == 201


@pytest.mark.parametrize("key", ["", "a" * 256, "with space", "tab\t"])
def test_a_key_out_of_form_is_refused(alice: callers.Caller, key: str) -> None:
    before = callers.written()
    assert callers.problem(alice.post("runs", START, Idempotency_Key=key)) == (
        400,
        "bad-idempotency-key",
    )
    assert callers.written() == before


def test_input_that_does_not_fit_names_each_field(alice: callers.Caller) -> None:
    response = alice.post("runs", {"workflow": "adding", "input": {"numbers": [1, "2"]}})
    assert callers.problem(response) == (422, "invalid-input")
    assert "/input/numbers/1" in callers.faults(response)


def test_a_cancelled_run_says_who_asked_and_asking_twice_is_asking_once(
    alice: callers.Caller,
) -> None:
    run = alice.post("runs", START).json()
    first = alice.post(f"runs/{run['id']}/cancel")
    again = alice.post(f"runs/{run['id']}/cancel", {})
    assert first.status_code == again.status_code == 202
    assert again.json()["cancel_requested_by"] == "alice"
    assert AuditEntry.objects.filter(action="cancel_requested").count() == 1


def test_cancelling_takes_no_body(alice: callers.Caller) -> None:
    run = alice.post("runs", START).json()
    response = alice.post(f"runs/{run['id']}/cancel", {"force": True})
    assert callers.problem(response) == (422, "invalid-request")
    assert Run.objects.get().cancel_requested_at is None


def test_a_run_of_another_tenant_is_not_there(
    alice: callers.Caller, olivia: callers.Caller
) -> None:
    run = alice.post("runs", START).json()
    for answer in (
        olivia.get(f"runs/{run['id']}"),
        olivia.get(f"runs/{run['id']}/events"),
        olivia.post(f"runs/{run['id']}/cancel"),
        olivia.get(f"runs/{uuid.uuid4()}"),
    ):
        assert callers.problem(answer) == (404, "not-found")
    assert olivia.get("runs").json()["items"] == []
    assert alice.get(f"runs/{run['id']}").status_code == 200
