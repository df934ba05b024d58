"""Decisions: the only writer of a person's verdict.

A decision binds the gate's digest. Until passkeys sign it, a confirmed POST of a signed-in
person is sealed: an HMAC with a key that the web process holds and no database role can
read. The database checks the seal again, so that SQL with the rights of `placet_web` alone
cannot decide in anybody's name.
"""

from __future__ import annotations

import hmac
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from approvals import eligibility, envelope, limits, pace, quorum, signing, typed
from approvals.errors import (
    AlreadyDecided,
    DecisionRefused,
    DigestMismatch,
    GateClosed,
    NotEligible,
    NotTyped,
    OwnRequest,
    ReasonRequired,
    TooLate,
    TooSoon,
)
from approvals.models import Batch, ClearanceUse, Decision, Gate, Revocation, SealKey, Viewing
from approvals.seals import seal as sealed
from approvals.seals import words
from approvals.signing import Signed
from runs import canonical, dispatch, journal
from runs.clock import database_now
from runs.errors import SettlementRefused
from runs.models import Claim, Step
from runs.points import reach
from runs.written import check_text

NEEDS_A_REASON = {
    Decision.Verdict.DENY: "A denial needs a reason, so that the requester can act on it.",
    Decision.Verdict.CHANGES: "Say which changes you want, so that the agent can act on it.",
}


def decide(
    *,
    gate_id: UUID,
    tenant: str,
    person: Any,
    verdict: str,
    reason: str,
    digest: str,
    typed_fact: str = "",
    signed: Signed | None = None,
    batch: Batch | None = None,
) -> Decision:
    """Records a person's verdict over the digest that they saw (64 hex digits).

    `typed_fact` is what the tier has the person type (see `approvals.typed`); `signed` is what a
    key of theirs answered: above the tier `confirm` an approval needs it. `batch` is the list that
    the person confirmed, of which this is one (see `approvals.batches`). The same verdict of the
    same person again returns the decision that stands. Raises a `DecisionRefused` with a
    sentence; then nothing was recorded.
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
        fact = typed.normal(typed_fact)
        principal = eligibility.principal_of(gate, person)
        if verdict == Decision.Verdict.APPROVE:
            _check_tier(gate, person, fact)
            pace.check(person)
        key = signing.key_for(
            signed,
            gate=gate,
            person=person,
            tier=gate.tier,
            verdict=verdict,
            on_behalf_of_id=principal,
            reason=reason,
            typed=fact,
            origins=settings.PLACET_ORIGINS,
        )
        decision = _record(
            gate,
            person,
            verdict,
            principal=principal,
            reason=reason,
            fact=fact,
            kept=signing.kept(signed, key) | {"batch": batch},
        )
        # The gatekeeper hears of it before those who only look.
        dispatch.hint("gates", gate.step_id)
        seq = journal.append(
            gate.run_id,
            "decision.made",
            {
                "gate": str(gate.id),
                "verdict": verdict,
                "digest": digest,
                "reason": reason,
                "method": decision.method,
                **({"batch": str(batch.pk)} if batch else {}),
            },
            position=gate.step.position,
            actor=person.get_username(),
        )
        dispatch.show(tenant, "gate", gate.id, seq)
    transaction.on_commit(lambda: reach("committed:decision.made"))
    return decision


def look(gate: Gate, person: Any) -> None:
    """Notes since when this person, if they may decide, has had the request before them."""
    is_known = Viewing.objects.filter(gate=gate, person=person).exists()
    if not is_known and not eligibility.why_not(gate, person):
        Viewing.objects.bulk_create(
            [Viewing(tenant=gate.tenant, gate=gate, person=person)], ignore_conflicts=True
        )


def revoke(*, gate_id: UUID, tenant: str, person: Any, reason: str) -> Revocation:
    """Takes this person's approval back, as long as the step has not been claimed.

    Taken back already, it returns what stands. Raises a `DecisionRefused` with a sentence, of
    which `TooLate` says that the step was claimed first; then nothing was recorded.
    """
    reason = reason.strip()
    _check_length(reason)
    if not reason:
        raise ReasonRequired("Say why you take your approval back; the requester reads this.")
    with transaction.atomic():
        gate = Gate.objects.select_related("step").get(pk=gate_id, tenant=tenant)
        Claim.objects.select_for_update(no_key=True).get(run_id=gate.run_id)
        gate.refresh_from_db(fields=["status"])
        approval = Decision.objects.filter(
            gate=gate, person=person, verdict=Decision.Verdict.APPROVE
        ).first()
        if approval is None:
            raise NotEligible("You have not approved this request, so nothing is to be taken back.")
        before = Revocation.objects.filter(decision=approval).first()
        if before is not None:
            return before
        _check_revocable(gate)
        revocation = Revocation.objects.create(
            decision=approval,
            tenant=tenant,
            reason=reason,
            seal=seal_revocation(approval, reason),
            revoked_at=timezone.now(),
        )
        seq = journal.append(
            gate.run_id,
            "approval.revoked",
            {"gate": str(gate.id), "reason": reason},
            position=gate.step.position,
            actor=person.get_username(),
        )
        dispatch.hint("gates", gate.step_id)
        dispatch.show(tenant, "gate", gate.id, seq)
    return revocation


def _check_revocable(gate: Gate) -> None:
    if ClearanceUse.objects.filter(clearance__gate=gate).exists():
        raise TooLate("Too late: the step has been claimed, so your approval is spent.")
    if gate.status not in (Gate.Status.OPEN, Gate.Status.APPROVED):
        raise GateClosed(f"This gate is {gate.get_status_display().lower()} already.")


def _check_words(verdict: str, reason: str) -> None:
    if verdict not in Decision.Verdict.values:
        raise DecisionRefused("A verdict is one of approve, deny and changes.")
    if not reason and verdict in NEEDS_A_REASON:
        raise ReasonRequired(NEEDS_A_REASON[Decision.Verdict(verdict)])
    _check_length(reason)


def _check_length(reason: str) -> None:
    check_text(reason, what="reason", most=limits.MAX_REASON_CHARACTERS, refusal=ReasonRequired)


def _again(before: Decision, verdict: str, digest: str) -> Decision:
    if before.verdict != verdict or bytes(before.digest).hex() != digest:
        raise AlreadyDecided("You have decided already; one person has one vote.")
    return before


def _check_may(gate: Gate, person: Any, digest: str) -> None:
    if gate.requester_id == person.pk:
        raise OwnRequest("You requested this run, so somebody else must decide.")
    because = eligibility.why_not(gate, person)
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


def _check_tier(gate: Gate, person: Any, typed_fact: str) -> None:
    """What the rule asks of an approval besides the person. A denial is never made harder."""
    dwell = int(gate.consent.get("dwell_seconds", 0))
    if dwell:
        seen = Viewing.objects.filter(gate=gate, person=person).first()
        passed = 0.0 if seen is None else (database_now() - seen.since).total_seconds()
        if passed < dwell:
            raise TooSoon(
                f"This request is to be looked at for {dwell} seconds before it is approved;"
                f" {dwell - int(passed)} are left. Nothing was recorded."
            )
    told = canonical.decode(bytes(gate.envelope))
    if gate.tier in typed.TIERS and not typed.is_typed(told, typed_fact):
        raise NotTyped(
            f"Type {typed.wanted(told)}, exactly as the request has it; nothing was recorded."
        )


def _record(
    gate: Gate,
    person: Any,
    verdict: str,
    *,
    principal: int | None,
    reason: str,
    fact: str,
    kept: dict[str, Any],
) -> Decision:
    return Decision.objects.create(
        tenant=gate.tenant,
        gate=gate,
        person=person,
        on_behalf_of_id=principal,
        verdict=verdict,
        reason=reason,
        typed=fact,
        digest=bytes(gate.digest),
        seal=seal(
            gate_id=gate.id,
            person_id=person.pk,
            verdict=verdict,
            digest=bytes(gate.digest),
            reason=reason,
            typed_fact=fact,
            on_behalf_of_id=principal,
        ),
        decided_at=timezone.now(),
        **kept,
    )


def seal(
    *,
    gate_id: UUID,
    person_id: int,
    verdict: str,
    digest: bytes,
    reason: str,
    typed_fact: str = "",
    on_behalf_of_id: int | None = None,
) -> bytes:
    """The seal of a confirmed decision. Raises `DecisionRefused` without the key."""
    principal = "" if on_behalf_of_id is None else on_behalf_of_id
    told = (gate_id, person_id, principal, verdict, words(reason), words(typed_fact), "")
    return sealed("placet/decision/v2", *told, digest=digest)


def seal_revocation(approval: Decision, reason: str) -> bytes:
    """The seal of an approval that is taken back. Raises `DecisionRefused` without the key."""
    return sealed("placet/revocation/v1", approval.pk, approval.person_id, words(reason))


def seal_settlement(
    *, step: Step, person: Any, answer: str, reason: str, result: bytes | None
) -> bytes:
    """The seal of an answer about a doubt; for money only of those who may decide at its gate.

    Raises `SettlementRefused`.
    """
    gate = Gate.objects.filter(step=step).first()
    if gate is not None and not eligibility.is_member(gate, person):
        whom = quorum.asked_in_words(gate.needs)
        raise SettlementRefused(f"This is about money: only members of {whom} settle it.")
    told = (step.pk, step.attempt, person.pk, answer, words(reason), words(result or b""))
    try:
        return sealed("placet/settlement/v1", *told)
    except DecisionRefused as refused:
        raise SettlementRefused(str(refused)) from None


def install_seal_key(key: bytes) -> None:
    """Puts the key where the database's own check finds it. For the owner's role only."""
    if len(key) != 32:
        raise ValueError("A seal key has 32 bytes.")
    SealKey.objects.update_or_create(id=1, defaults={"key": key})
