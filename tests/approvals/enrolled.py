"""People with keys, enrolled the lawful way or put there as an attacker's start."""

from __future__ import annotations

from typing import Any

from approvals import statements
from approvals.models import Gate, Key
from approvals.registry import Introduction, register_key, request_key, revoke_key
from approvals.signing import Signed
from tests.approvals.attacks import fact_of
from tests.approvals.authenticator import KeyFile, Passkey
from tests.harness import admin, as_role

Device = Passkey | KeyFile
CHALLENGE = b"what the page asked for"


def ask(person: Any, device: Device, name: str = "My key", **given: Any) -> Any:
    with as_role("placet_web"):
        return request_key(person=person, name=name, enrolment=device.enrol(CHALLENGE), **given)


def enrol(person: Any, device: Device, name: str = "My key", **given: Any) -> Key:
    """Asked for in web, written by the gatekeeper."""
    request = ask(person, device, name, **given)
    with as_role("placet_gatekeeper"):
        key = register_key(request.id)
    assert key is not None
    return key


def introduced(key: Key, device: Device, person: Any, newer: Device) -> Introduction:
    from approvals.enrolment import introduction_challenge

    asked = introduction_challenge(
        tenant=person.tenant, person_id=person.pk, enrolment=newer.enrol(CHALLENGE)
    )
    return Introduction(key_id=key.id, answer=device.sign(asked))


def revoke(key: Key, person: Any) -> None:
    with as_role("placet_web"):
        revoke_key(key=key, person=person, reason="It was lost.")


def season(key: Key) -> None:
    """As if its waiting time were over; no process could write that."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_key SET seasoned_at = now() - interval '1 second' WHERE id = %s",
            [key.id],
        )
    key.refresh_from_db()


def signed(gate: Gate, person: Any, key: Key, device: Device, **changed: Any) -> Signed:
    """This person's approval of the gate, signed by the device in the name of the key."""
    told: dict[str, Any] = {
        "tenant": gate.tenant,
        "gate_id": gate.id,
        "digest": bytes(gate.digest),
        "verdict": "approve",
        "person_id": person.pk,
        "on_behalf_of_id": None,
        "reason": "",
        "typed": fact_of(gate),
    }
    statement = statements.statement(**(told | changed))
    return Signed(key_id=key.id, answer=device.sign(statements.challenge(statement)))
