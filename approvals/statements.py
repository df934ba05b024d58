"""What a person signs: one verdict about one envelope, as bytes that every surface can rebuild."""

from __future__ import annotations

import hashlib
from uuid import UUID

from runs import canonical

TAG = b"placet/decision/v2\0"
VERSION = 2


def statement(
    *,
    tenant: str,
    gate_id: UUID,
    digest: bytes,
    verdict: str,
    person_id: int,
    on_behalf_of_id: int | None,
    reason: str,
    typed: str,
) -> bytes:
    """The canonical bytes (RFC 8785). `digest` is that of the gate's envelope (32 bytes);
    `typed` is what the tier had the person type, empty where it asks for nothing."""
    return canonical.encode(
        {
            "v": VERSION,
            "purpose": "placet/decision",
            "tenant": tenant,
            "gate": str(gate_id),
            "digest": bytes(digest).hex(),
            "verdict": verdict,
            "person": person_id,
            "on_behalf_of": on_behalf_of_id,
            "reason": reason,
            "typed": typed,
        }
    )


def challenge(statement: bytes) -> bytes:
    """SHA-256 over the domain tag and the statement: what a key signs, in 32 bytes."""
    return hashlib.sha256(TAG + statement).digest()
