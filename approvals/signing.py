"""A decision that a key signed: what is posted, what is kept, and whether it holds.

The gatekeeper asks `why_unsigned` before it counts an approval, and the executor asks it
again before it sends anything; neither believes what the other found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from approvals import signatures, statements
from approvals.errors import SignatureRefused
from approvals.keys import may_sign, public_key_of, standing_keys_of
from approvals.models import Decision, Gate, Key, KeyKind, KeyRevocation
from approvals.signatures import Answer
from runs.clock import database_now


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What came with a decision: one of the person's keys, and what it answered."""

    key_id: UUID
    answer: Answer


def tier_of(gate: Gate) -> str:
    """What this gate asks of an approval."""
    return gate.tier


def needs_key(tier: str, verdict: str) -> bool:
    """Only an approval must be signed, and only above the lowest tier."""
    return verdict == Decision.Verdict.APPROVE and tier != "confirm"


def key_for(
    signed: Signed | None,
    *,
    gate: Gate,
    person: Any,
    tier: str,
    verdict: str,
    on_behalf_of_id: int | None,
    reason: str,
    typed: str,
    origins: Sequence[str],
) -> Key | None:
    """The key of this person that signed exactly this verdict, before anything is recorded.

    None where nobody signed and the tier lets that be. Raises `SignatureRefused`.
    """
    if signed is None:
        if needs_key(tier, verdict):
            raise SignatureRefused(
                "An approval here must be signed with a passkey or a key file of yours; nothing"
                " was recorded."
            )
        return None
    challenge = challenge_for(
        tenant=gate.tenant,
        gate_id=gate.id,
        digest=bytes(gate.digest),
        verdict=verdict,
        person_id=person.pk,
        on_behalf_of_id=on_behalf_of_id,
        reason=reason,
        typed=typed,
    )
    return signer_of(signed, person=person, tier=tier, challenge=challenge, origins=origins)


def signer_of(
    signed: Signed, *, person: Any, tier: str, challenge: bytes, origins: Sequence[str]
) -> Key:
    """The key of this person that signed exactly this now, and may for the tier.

    Raises `SignatureRefused`.
    """
    key = standing_keys_of(person).filter(pk=signed.key_id).first()
    if key is None:
        raise SignatureRefused("The key that signed is none of yours, or was revoked.")
    if because := may_sign(key, tier, database_now()):
        raise SignatureRefused(because)
    signatures.verify(public_key_of(key), signed.answer, challenge=challenge, origins=origins)
    return key


def challenge_for(**decided: Any) -> bytes:
    """What a key signs for this decision; the arguments are those of `statements.statement`."""
    return statements.challenge(statements.statement(**decided))


def key_of_file(person: Any, public_key: bytes) -> UUID:
    """Which of the person's keys this file is. Raises `SignatureRefused`."""
    key = standing_keys_of(person).filter(kind=KeyKind.FILE, public_key=public_key).first()
    if key is None:
        raise SignatureRefused(
            f"This file is no enrolled key of {person.get_username()}; see `manage.py key enrol`."
        )
    return key.pk


def kept(signed: Signed | None, key: Key | None) -> dict[str, Any]:
    """The columns of a decision that keep its signature, for whoever verifies it later."""
    if signed is None or key is None:
        return {"method": Decision.Method.CONFIRM}
    return {
        "method": key.kind,
        "key": key,
        **columns_of(signed.answer),
    }


def columns_of(answer: Answer) -> dict[str, bytes]:
    """The columns of a row that keep what a key answered."""
    return {
        "signature": answer.signature,
        "client_data": answer.client_data,
        "authenticator_data": answer.authenticator_data,
    }


def why_unsigned(
    decision: Decision,
    *,
    tier: str,
    digest: bytes,
    on_behalf_of_id: int | None,
    typed: str,
    at: datetime,
    origins: Sequence[str],
) -> str:
    """Why this approval does not count at a gate of this tier, in words; empty when it does.

    `digest` is that of the bytes that are about to be sent, as the caller computed it. `at` is
    the moment at which the key must not be revoked: now for the gatekeeper, and for the
    executor the moment at which the clearance was spent. Nothing of the row is believed but
    what the key signed; a signature that is not needed must hold as well.
    """
    if decision.key_id is None:
        return "A key must sign an approval here." if tier != "confirm" else ""
    key = decision.key
    whose = (decision.tenant, decision.person_id, decision.method)
    if key is None or (key.tenant, key.person_id, key.kind) != whose:
        return "The key that signed is none of the person who decided."
    challenge = challenge_for(
        tenant=decision.tenant,
        gate_id=decision.gate_id,
        digest=digest,
        verdict=decision.verdict,
        person_id=decision.person_id,
        on_behalf_of_id=on_behalf_of_id,
        reason=decision.reason,
        typed=typed,
    )
    return why_not_by(
        key,
        decision,
        tier=tier,
        at=at,
        signed_at=decision.decided_at,
        challenge=challenge,
        origins=origins,
    )


def why_not_by(
    key: Key,
    row: Any,
    *,
    tier: str,
    signed_at: datetime,
    at: datetime,
    challenge: bytes,
    origins: Sequence[str],
) -> str:
    """Why what `row` keeps is no signature of this by the key, in words; empty when it is one.

    The row has the columns of `columns_of`. The key may not be revoked by `at`, and may sign for
    the tier at `signed_at`.
    """
    revocation: KeyRevocation | None = getattr(key, "revocation", None)
    if revocation is not None and revocation.revoked_at <= at:
        return f"The key {key.name!r} was revoked."
    if because := may_sign(key, tier, signed_at):
        return because
    answer = Answer(
        signature=bytes(row.signature or b""),
        client_data=bytes(row.client_data or b""),
        authenticator_data=bytes(row.authenticator_data or b""),
    )
    try:
        signatures.verify(public_key_of(key), answer, challenge=challenge, origins=origins)
    except SignatureRefused as refused:
        return str(refused)
    return ""
