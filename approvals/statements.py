"""What a person signs, as bytes that every surface can rebuild: one verdict about one envelope,
or that the glass is to be broken."""

from __future__ import annotations

import hashlib
from uuid import UUID

from runs import canonical

TAG = b"placet/decision/v2\0"
VERSION = 2
GLASS_TAG = b"placet/breakglass/v2\0"


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


def glass_statement(
    *,
    id: UUID,
    tenant: str,
    scope: str,
    subject: str,
    minutes: int,
    reason: str,
    person_id: int,
    first: bytes | None = None,
) -> bytes:
    """The canonical bytes (RFC 8785) that one of the two signs who break the glass.

    `first` is None for who opens it, and for who confirms it the `glass_challenge` of what the
    opener signed (32 bytes), so that the second key signs about the first one's statement.
    """
    return canonical.encode(
        {
            "v": VERSION,
            "purpose": "placet/breakglass",
            "id": str(id),
            "tenant": tenant,
            "scope": scope,
            "subject": subject,
            "minutes": minutes,
            "reason": reason,
            "person": person_id,
            "first": "" if first is None else first.hex(),
        }
    )


def glass_challenge(statement: bytes) -> bytes:
    """SHA-256 over the tag of the broken glass and the statement: nothing that a key signs for
    a decision is a signature for this, nor the other way round."""
    return hashlib.sha256(GLASS_TAG + statement).digest()
