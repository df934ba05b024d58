"""Decisions: the only writer of a person's verdict.

A decision binds the gate's digest. Until passkeys sign it, a confirmed POST of a signed-in
person is sealed: an HMAC with a key that the web process holds and no database role can
read. The database checks the seal again, so that SQL with the rights of `placet_web` alone
cannot decide in anybody's name.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from approvals import envelope, gates, limits, signing
from approvals.errors import (
    AlreadyDecided,
    DecisionRefused,
    DigestMismatch,
    GateClosed,
    NotEligible,
    OwnRequest,
    ReasonRequired,
)
from approvals.models import Decision, Gate, SealKey
from approvals.signing import Signed
from runs import dispatch, journal
from runs.clock import database_now
from runs.errors import SettlementRefused
from runs.models import Claim, Step
from runs.points import reach

SEAL_TAG = b"placet/decision/v1\0"
SETTLEMENT_TAG = b"placet/settlement/v1\0"


def decide(
    *,
    gate_id: UUID,
    tenant: str,
    person: Any,
    verdict: str,
    reason: str,
    digest: str,
    signed: Signed | None = None,
    tier: str = "",
) -> Decision:
    """Records a person's verdict over the digest that they saw (64 hex digits).

    `signed` is what a key of theirs answered; above the tier `confirm` an approval needs it.
    The same verdict of the same person again returns the decision that stands. Raises a
    `DecisionRefused` with a sentence; then nothing was recorded.
    """
    reason = reason.strip()
    _check_words(verdict, reason)
    with transaction.atomic():
        gate = Gate.objects.select_related("step").get(pk=gate_id, tenant=tenant)
        Claim.objects.select_for_update(no_key=True).get(run_id=gate.run_id)
        gate.refresh_from_db(fields=["status", "expires_at"])
        before = Decision.objects.filter(gate=gate, person=person).first()
        if before is not None:
            return _again(before, verdict, digest)
        _check_may(gate, person, digest)
        key = signing.key_for(
            signed,
            gate=gate,
            person=person,
            tier=tier or signing.tier_of(gate),
            verdict=verdict,
            on_behalf_of_id=None,
            reason=reason,
            typed="",
            origins=settings.PLACET_ORIGINS,
        )
        decision = _record(gate, person, verdict, reason, signing.kept(signed, key))
        seq = journal.append(
            gate.run_id,
            "decision.made",
            {
                "gate": str(gate.id),
                "verdict": verdict,
                "digest": digest,
                "reason": reason,
                "method": decision.method,
            },
            position=gate.step.position,
            actor=person.get_username(),
        )
        dispatch.hint("gates", gate.step_id)
        dispatch.show(tenant, "gate", gate.id, seq)
    transaction.on_commit(lambda: reach("committed:decision.made"))
    return decision


def _check_words(verdict: str, reason: str) -> None:
    if verdict not in Decision.Verdict.values:
        raise DecisionRefused("A verdict is either approve or deny.")
    if verdict == Decision.Verdict.DENY and not reason:
        raise ReasonRequired("A denial needs a reason, so that the requester can act on it.")
    if len(reason) > limits.MAX_REASON_CHARACTERS:
        raise ReasonRequired(
            f"The reason is {len(reason)} characters long; at most"
            f" {limits.MAX_REASON_CHARACTERS} are kept."
        )
    if "\0" in reason:
        raise ReasonRequired("The reason holds a NUL character, which cannot be kept.")


def _again(before: Decision, verdict: str, digest: str) -> Decision:
    if before.verdict != verdict or bytes(before.digest).hex() != digest:
        raise AlreadyDecided("You have decided already; one person has one vote.")
    return before


def _check_may(gate: Gate, person: Any, digest: str) -> None:
    if gate.requester_id == person.pk:
        raise OwnRequest("You requested this run, so somebody else must decide.")
    because = gates.why_not(gate, person)
    if because and (gate.status != Gate.Status.OPEN or gate.expires_at <= database_now()):
        raise GateClosed(because)
    if because:
        raise NotEligible(because)
    if not hmac.compare_digest(bytes(gate.digest).hex().encode(), digest.lower().encode()):
        raise DigestMismatch(
            "What you saw is not what this gate asks about; nothing was decided. Look again."
        )
    if envelope.digest(bytes(gate.envelope)) != bytes(gate.digest):
        raise DigestMismatch("The gate's own bytes and digest disagree; nothing was decided.")


def _record(gate: Gate, person: Any, verdict: str, reason: str, kept: dict[str, Any]) -> Decision:
    return Decision.objects.create(
        tenant=gate.tenant,
        gate=gate,
        person=person,
        verdict=verdict,
        reason=reason,
        digest=bytes(gate.digest),
        seal=seal(
            gate_id=gate.id,
            person_id=person.pk,
            verdict=verdict,
            digest=bytes(gate.digest),
            reason=reason,
        ),
        decided_at=timezone.now(),
        **kept,
    )


def seal(*, gate_id: UUID, person_id: int, verdict: str, digest: bytes, reason: str) -> bytes:
    """The seal of a confirmed decision. Raises `DecisionRefused` without the key."""
    words = hashlib.sha256(reason.encode()).hexdigest()
    return _hmac(SEAL_TAG + f"{gate_id}|{person_id}|{verdict}|{words}|".encode() + digest)


def seal_settlement(
    *, step: Step, person: Any, answer: str, reason: str, result: bytes | None
) -> bytes:
    """The seal of an answer about a doubt; for money only of those who may decide at its gate.

    Raises `SettlementRefused`.
    """
    gate = Gate.objects.filter(step=step).first()
    if gate is not None and not gates.is_member(gate, person):
        raise SettlementRefused(
            f"This is about money: only members of the group {gate.group!r} settle it."
        )
    words = hashlib.sha256(reason.encode()).hexdigest()
    told = hashlib.sha256(result or b"").hexdigest()
    message = f"{step.pk}|{step.attempt}|{person.pk}|{answer}|{words}|{told}"
    try:
        return _hmac(SETTLEMENT_TAG + message.encode())
    except DecisionRefused as refused:
        raise SettlementRefused(str(refused)) from None


def _hmac(message: bytes) -> bytes:
    if not settings.PLACET_SEAL_KEY:
        raise DecisionRefused(
            "This process has no seal key, so nobody can decide here; see `manage.py doctor`."
        )
    return hmac.new(bytes.fromhex(settings.PLACET_SEAL_KEY), message, hashlib.sha256).digest()


def install_seal_key(key: bytes) -> None:
    """Puts the key where the database's own check finds it. For the owner's role only."""
    if len(key) != 32:
        raise ValueError("A seal key has 32 bytes.")
    SealKey.objects.update_or_create(id=1, defaults={"key": key})
