"""What attackers try by SQL, with the rights of one process."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import psycopg
import pytest
from django.conf import settings

from approvals import typed
from approvals.models import Gate
from approvals.policies import rules
from runs.models import new_id
from tests.harness import World

PROCESSES = ("placet_web", "placet_worker", "placet_executor")
ALL_PROCESSES = (*PROCESSES, "placet_gatekeeper", "placet_auditor")
Attack = tuple[str, list[Any]]


def refusal(world: World, role: str, *attacks: Attack) -> str:
    """Runs statements in one transaction as a role; returns what the database answered."""
    url = world.servers.database_url(role)
    with psycopg.connect(url) as attacker, pytest.raises(psycopg.Error) as refused:
        for statement, values in attacks:
            attacker.execute(statement, values)
        attacker.commit()
    return str(refused.value)


def parked(world: World, **input: Any) -> Gate:
    run = world.park_at_gates(5000, **input)
    (gate,) = world.gates(run)
    return gate


BANDS = {"confirm": 0, "passkey": 2, "typed": 3, "critical": 4}
"""The millions of cents over which a rule of a tier begins, in `parked_at`."""


def parked_at(world: World, tier: str, **consent: Any) -> Gate:
    """A gate of this tier; two people where it is critical."""
    above = BANDS[tier] * 1_000_000
    if tier != "confirm" and not any(rule["name"] == tier for rule in rules(world.tenant)):
        world.policy(
            name=tier,
            above_minor=above,
            up_to_minor=above + 1_000_000,
            quorum=2 if tier == "critical" else 1,
            tier=tier,
            **({"cooling_off_seconds": 60} if tier == "critical" else {}) | consent,
        )
    (gate,) = world.gates(world.park_at_gates(above + 5000))
    assert gate.tier == tier
    return gate


def fact_of(gate: Gate) -> str:
    """What the tier of the gate has people type: the end of the account."""
    return typed.normal(gate.payee)[-typed.LAST :] if gate.tier in typed.TIERS else ""


def forged(gate: Gate, person: Any, *, seal: bytes, verdict: str = "approve") -> Attack:
    return (
        "INSERT INTO approvals_decision (id, tenant, gate_id, person_id, verdict, reason, digest,"
        " method, seal, decided_at, writer)"
        " VALUES (%s, %s, %s, %s, %s, 'forged', %s, 'confirm', %s, now(), '')",
        [new_id(), gate.tenant, gate.id, person.pk, verdict, bytes(gate.digest), seal],
    )


def clearance(gate: Gate, id: Any) -> Attack:
    return (
        "INSERT INTO approvals_clearance (id, tenant, step_id, gate_id, digest, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, now() + interval '1 hour')",
        [id, gate.tenant, gate.step_id, gate.id, bytes(gate.digest)],
    )


def clearing(gate: Gate) -> tuple[Attack, ...]:
    """What the gatekeeper writes to clear a step."""
    id = new_id()
    cleared = "UPDATE runs_step SET status = 'ready', clearance_id = %s WHERE id = %s"
    return (
        ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id]),
        clearance(gate, id),
        (cleared, [id, gate.step_id]),
    )


def claim(gate: Gate) -> Attack:
    return (
        "UPDATE runs_step SET status = 'running', attempt = attempt + 1 WHERE id = %s",
        [gate.step_id],
    )


def proper_seal(gate: Gate, person: Any, verdict: str = "approve") -> bytes:
    words, typed = hashlib.sha256(b"forged").hexdigest(), hashlib.sha256(b"").hexdigest()
    told = f"{gate.id}|{person.pk}||{verdict}|{words}|{typed}|".encode()
    message = b"placet/decision/v2\0" + told + bytes(gate.digest)
    return hmac.new(bytes.fromhex(settings.PLACET_SEAL_KEY), message, hashlib.sha256).digest()
