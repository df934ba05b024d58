"""The envelope: the exact bytes that people consent to, and that the executor rebuilds."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from approvals.models import Gate, Policy
from runs import canonical
from runs.models import Step

TAG = b"placet/approval/v2\0"
VERSION = 2

# Sixteen words for each half of a byte; four of them read as a small sentence.
_WORDS = [
    line.split()
    for line in (
        "calm bold quick still warm cool deep high soft loud dark pale wide slim brave clear",
        "red blue green amber white black silver golden pink grey olive coral ivory plum teal rust",
        "otter falcon maple river harbor lantern meadow pepper "
        "violin anchor cedar comet ember glacier island kettle",
        "walks sings waits rests turns climbs drifts glows "
        "leans moves opens plays reads sails shines stands",
    )
]


def build(
    *,
    step: Step,
    gate_id: Any,
    workflow: str,
    requester: str,
    requester_id: int,
    policy: Policy,
    rule: int,
    circumstances: dict[str, Any],
    supersedes: str | None,
    not_before: datetime,
    expires_at: datetime,
    nonce: str,
    money: dict[str, Any] | None,
    arguments: dict[str, Any],
) -> bytes:
    """The canonical bytes. `arguments` are what will be sent, not what was stored; what is asked
    for is read from the policy's own document, and `circumstances` are those it was decided by.
    """
    asks = policy.body["rules"][rule]
    return canonical.encode(
        {
            "v": VERSION,
            "purpose": "placet/approval",
            "tenant": step.tenant,
            "gate": str(gate_id),
            "run": str(step.run_id),
            "workflow": workflow,
            "step": str(step.id),
            "position": step.position,
            "tool": step.name,
            "declaration": step.declaration_id,
            "arguments": arguments,
            "key": step.key,
            "requester": requester,
            "requester_id": requester_id,
            "policy": {
                "id": str(policy.id),
                "number": policy.number,
                "digest": bytes(policy.digest).hex(),
            },
            "rule": {"index": rule, "name": asks["name"]},
            "needs": asks["then"],
            "circumstances": circumstances,
            "supersedes": supersedes,
            "not_before": moment(not_before),
            "expires_at": moment(expires_at),
            "nonce": nonce,
            "money": money,
        }
    )


def envelope_of(gate: Gate) -> dict[str, Any]:
    """What the gate asks about, from the very bytes that are signed."""
    decoded: dict[str, Any] = canonical.decode(gate.envelope)
    return decoded


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def digest(envelope: bytes) -> bytes:
    """SHA-256 over the domain tag and the envelope; what a decision binds."""
    return hashlib.sha256(TAG + bytes(envelope)).digest()


def money_of(declaration: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any] | None:
    """What a step pays, read from its arguments by its declaration; None where it pays nothing."""
    names = declaration["money"]
    if names is None:
        return None
    currency = arguments[names["currency"]]
    return {
        "amount_minor": arguments[names["amount"]],
        "currency": currency,
        "exponent": canonical.CURRENCIES[currency],
        "payee": arguments[names["payee"]],
        "payee_name": str(arguments.get(names["payee_name"]) or ""),
    }


def phrase(digest: bytes) -> str:
    """Four words for a digest, the same on every surface; a help for eyes, not a proof.

    They carry 16 of its 256 bits, so the full digest stands beside them.
    """
    halves = [half for byte in bytes(digest)[:2] for half in (byte >> 4, byte & 15)]
    return " ".join(words[half] for words, half in zip(_WORDS, halves, strict=True))
