"""GET gates and POST gates/{id}/decisions."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from approvals.models import Decision, Gate
from console.models import AuditEntry
from tests.api import callers
from tests.approvals.authenticator import KeyFile
from tests.approvals.enrolled import enrol
from tests.harness import World, as_role
from tests.zoo import ledger


@pytest.fixture
def gate(world: World) -> Gate:
    """A gate over 500.00 EUR that Alice's run waits at."""
    (gate,) = world.gates(world.park_at_gates(50_000))
    return gate


@pytest.fixture
def bob(world: World) -> callers.Caller:
    return callers.with_token(world.bob)


def verdict(gate: Gate, word: str = "approve", **changed: Any) -> dict[str, Any]:
    return {"verdict": word, "digest": bytes(gate.digest).hex()} | changed


def test_a_gate_shows_the_facts_and_who_may_decide(
    gate: Gate, bob: callers.Caller, alice: callers.Caller
) -> None:
    shown = bob.get(f"gates/{gate.id}").json()
    assert shown["digest"] == bytes(gate.digest).hex()
    assert shown["envelope"]["money"]["amount_minor"] == shown["amount_minor"] == 50_000
    assert shown["envelope"]["arguments"]["currency"] == shown["currency"] == "EUR"
    assert shown["requester"] == "alice"
    assert (shown["quorum"], shown["approvals"], shown["decisions"]) == (1, 0, [])
    assert shown["you_may_decide"] is True and shown["why_not"] == ""
    to_alice = alice.get(f"gates/{gate.id}").json()
    assert to_alice["you_may_decide"] is False
    assert to_alice["why_not"] == "You requested this run, so somebody else must decide."


def test_a_key_signs_what_the_caller_worked_out_from_the_gate(
    world: World, gate: Gate, bob: callers.Caller
) -> None:
    device = KeyFile()
    key = enrol(world.bob, device)
    shown = bob.get(f"gates/{gate.id}").json()
    told = {
        "v": 2,
        "purpose": "placet/decision",
        "tenant": shown["envelope"]["tenant"],
        "gate": shown["id"],
        "digest": shown["digest"],
        "verdict": "approve",
        "person": shown["you"],
        "on_behalf_of": None,
        "reason": "",
        "typed": "",
    }
    statement = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    challenge = hashlib.sha256(b"placet/decision/v2\0" + statement).digest()
    raw = device.private.sign(b"placet/key-file/v1\0" + challenge)
    signature = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    path = f"gates/{gate.id}/decisions"

    for wrong in (
        {"key": str(key.pk), "signature": "AAAA"},
        {"key": str(key.pk), "signature": "!"},
        {"key": callers.ABSENT, "signature": signature},
    ):
        refused = bob.post(path, verdict(gate, signed=wrong))
        assert callers.problem(refused) == (409, "signature-refused")
    signed = {"key": str(key.pk), "signature": signature}
    other = bob.post(path, verdict(gate, reason="Other words.", signed=signed))
    assert callers.problem(other) == (409, "signature-refused")
    assert not Decision.objects.exists()
    said = bob.post(path, verdict(gate, signed=signed))

    assert (said.status_code, said.json()["method"]) == (201, "file")
    assert said.json()["key_id"] == str(key.pk)


def test_an_approval_is_recorded_once_and_pays_once(
    world: World, gate: Gate, bob: callers.Caller
) -> None:
    first = bob.post(f"gates/{gate.id}/decisions", verdict(gate), Idempotency_Key="k")
    again = bob.post(f"gates/{gate.id}/decisions", verdict(gate), Idempotency_Key="k")
    without_key = bob.post(f"gates/{gate.id}/decisions", verdict(gate))
    assert first.status_code == again.status_code == without_key.status_code == 201
    assert first.content == again.content == without_key.content
    assert first.json()["person"] == "bob"
    assert AuditEntry.objects.filter(action="decided", actor="bob").count() == 1
    world.settle()
    shown = bob.get(f"gates/{gate.id}").json()
    assert (shown["state"], shown["approvals"]) == ("approved", 1)
    assert shown["decisions"][0]["verdict"] == "approve"
    assert len(ledger("paid")) == 1


def test_a_denial_with_its_reason_ends_the_payment(
    world: World, gate: Gate, bob: callers.Caller
) -> None:
    answer = bob.post(f"gates/{gate.id}/decisions", verdict(gate, "deny", reason="not ours"))
    assert answer.status_code == 201
    world.settle()
    assert bob.get(f"gates/{gate.id}").json()["state"] == "denied"
    assert ledger("pay-called") == []


# What is sent, and the status, the word and the beginning of the refusal.
REFUSED: list[tuple[dict[str, Any], tuple[int, str, str]]] = [
    ({"digest": "0" * 64}, (409, "digest-mismatch", "What you saw is not what this gate asks")),
    ({"verdict": "deny"}, (422, "reason-required", "A denial needs a reason")),
    ({"verdict": "deny", "reason": "  "}, (422, "reason-required", "A denial needs a reason")),
]


@pytest.mark.parametrize(("changed", "refusal"), REFUSED)
def test_a_refused_decision_is_not_recorded_and_leaves_its_key_free(
    gate: Gate, bob: callers.Caller, changed: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    before = callers.written()
    path = f"gates/{gate.id}/decisions"
    answer = bob.post(path, verdict(gate, **changed), Idempotency_Key="k")
    assert callers.problem(answer) == refusal[:2]
    assert answer.json()["detail"].startswith(refusal[2])
    assert callers.written() == before
    assert bob.post(path, verdict(gate), Idempotency_Key="k").status_code == 201


def test_who_requested_cannot_decide(world: World, gate: Gate) -> None:
    path = f"gates/{gate.id}/decisions"
    with as_role("placet_owner"):
        from console.roles import set_roles

        set_roles(world.alice, {"operator", "reviewer"})
    before = callers.with_token(world.alice)
    answer = before.post(path, verdict(gate))
    assert callers.problem(answer) == (403, "own-request")
    assert not Decision.objects.exists()


def test_a_reviewer_of_no_group_cannot_decide(world: World, gate: Gate) -> None:
    mallory = callers.with_token(world.mallory)
    answer = mallory.post(f"gates/{gate.id}/decisions", verdict(gate))
    assert callers.problem(answer) == (403, "not-eligible")
    assert not Decision.objects.exists()


def test_a_vote_cannot_be_changed_and_a_closed_gate_takes_none(
    world: World, gate: Gate, bob: callers.Caller
) -> None:
    path = f"gates/{gate.id}/decisions"
    assert bob.post(path, verdict(gate)).status_code == 201
    changed = bob.post(path, verdict(gate, "deny", reason="after all"))
    assert callers.problem(changed) == (409, "already-decided")
    world.settle()
    carol = callers.with_token(world.carol)
    assert callers.problem(carol.post(path, verdict(gate))) == (409, "gate-closed")
    assert Decision.objects.count() == 1


def test_a_gate_of_another_tenant_is_not_there(gate: Gate, olivia: callers.Caller) -> None:
    before = callers.written()
    for answer in (
        olivia.get(f"gates/{gate.id}"),
        olivia.post(f"gates/{gate.id}/decisions", verdict(gate)),
        olivia.get(f"gates/{callers.ABSENT}"),
    ):
        assert callers.problem(answer) == (404, "not-found")
    assert olivia.get("gates").json()["items"] == []
    assert callers.written() == before


def test_gates_are_listed_by_state(world: World, gate: Gate, bob: callers.Caller) -> None:
    (listed,) = bob.get("gates", state="open").json()["items"]
    assert listed["id"] == str(gate.id)
    assert bob.get("gates", state="approved").json()["items"] == []
    world.decide(gate, world.carol)
    world.settle()
    assert bob.get("gates", state="open").json()["items"] == []
    (listed,) = bob.get("gates").json()["items"]
    assert listed["state"] == "approved"
