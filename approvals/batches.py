"""Batches: one confirmation over a list of requests, only for the lowest tier.

What is confirmed is the digest of the list. Each request of it is then decided by itself
(`decisions.decide`, with the batch), under a seal of its own: what became impossible meanwhile
takes nothing from the others, and the locks count decisions and never batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals import limits, pace
from approvals.decisions import NEEDS_A_REASON
from approvals.errors import BatchRefused, DigestMismatch, ReasonRequired
from approvals.models import Batch, Decision, Gate
from approvals.rules.words import amount
from approvals.seals import seal, words
from runs.written import check_text

TAG = b"placet/batch/v1"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One request as it was shown to the person: its digest in 64 hex digits."""

    gate_id: UUID
    digest: str


def digest_of(digests: Iterable[bytes | memoryview]) -> bytes:
    """What stands for a list of digests, in whatever order they are given: SHA-256 over a tag,
    how many they are, and each of them with its length. The database computes the same."""
    listed = sorted(bytes(one) for one in digests)
    parts = [TAG, b"\0", _number(len(listed))]
    for one in listed:
        parts += [_number(len(one)), one]
    return hashlib.sha256(b"".join(parts)).digest()


def begin(
    *, id: UUID, tenant: str, person: Any, verdict: str, reason: str, items: Sequence[Item]
) -> tuple[Batch, bool]:
    """What the person confirmed, and whether this call recorded it: the same again, under the
    same id, gives what stands.

    Raises `BatchRefused`, `DigestMismatch`, `ReasonRequired` or `TooFast` with a sentence; then
    nothing was recorded.
    """
    reason = reason.strip()
    _check_words(verdict, reason)
    gates = _listed(tenant, items)
    asked = Batch(id=id, tenant=tenant, person=person, verdict=verdict, reason=reason)
    asked.gates = [gate.pk for gate in gates]
    asked.digests = [bytes(gate.digest) for gate in gates]
    with transaction.atomic():
        pace.lock(person)
        before = Batch.objects.filter(pk=id).first()
        if before is not None:
            return _again(before, asked), False
        if verdict == Batch.Verdict.APPROVE:
            pace.check(person, more=asked.size)
        return _record(asked), True


def check_tier(gate: Gate) -> None:
    """Raises `BatchRefused` where an approval takes more than a confirmation."""
    if gate.tier != Gate.Tier.CONFIRM:
        raise BatchRefused(
            f"The {_named(gate)} asks for more than a confirmation, so it is decided by itself."
            " Nothing was recorded."
        )


def seal_of(batch: Batch) -> bytes:
    """The seal of a confirmed list. Raises `DecisionRefused` without the key."""
    told = (batch.pk, batch.person_id, batch.verdict, words(batch.reason))
    return seal(TAG.decode(), *told, digest=digest_of(batch.digests))


def _check_words(verdict: str, reason: str) -> None:
    if verdict not in Batch.Verdict.values:
        raise BatchRefused("Several requests are approved or denied; ask for changes at each.")
    if not reason and verdict == Batch.Verdict.DENY:
        raise ReasonRequired(NEEDS_A_REASON[Decision.Verdict.DENY])
    check_text(reason, what="reason", most=limits.MAX_REASON_CHARACTERS, refusal=ReasonRequired)


def _listed(tenant: str, items: Sequence[Item]) -> list[Gate]:
    """The gates in the order of their digests, once all of them may be in one list."""
    check_size(len(items))
    asked = {item.gate_id: item.digest for item in items}
    if len(asked) != len(items):
        raise BatchRefused("A request stands in the list twice; nothing was recorded.")
    gates = list(Gate.objects.filter(tenant=tenant, pk__in=asked).defer("envelope", "needs"))
    if len(gates) != len(asked):
        raise BatchRefused("One of these requests is not there; nothing was recorded.")
    for gate in gates:
        check_tier(gate)
        if bytes(gate.digest).hex() != asked[gate.pk].lower():
            raise DigestMismatch(
                f"What you saw of the {_named(gate)} is not what it asks about;"
                " nothing was recorded."
            )
    return sorted(gates, key=lambda gate: bytes(gate.digest))


def check_size(size: int) -> None:
    """Raises `BatchRefused` for a list that is empty or too long."""
    if not size:
        raise BatchRefused("No request was selected; nothing was recorded.")
    if size > limits.MAX_BATCH:
        raise BatchRefused(
            f"At most {limits.MAX_BATCH} requests are decided at once, and these are {size}."
            " Nothing was recorded."
        )


def _again(before: Batch, asked: Batch) -> Batch:
    told = ("tenant", "person_id", "verdict", "reason", "gates")
    if any(getattr(before, name) != getattr(asked, name) for name in told):
        raise BatchRefused("This confirmation was used for another list; review the requests anew.")
    return before


def _record(asked: Batch) -> Batch:
    asked.digest = digest_of(asked.digests)
    asked.seal = seal_of(asked)
    asked.made_at = timezone.now()
    asked.save(force_insert=True)
    return asked


def _named(gate: Gate) -> str:
    if gate.amount_minor is None:
        return f"call of {gate.tool}"
    return (
        f"payment of {amount(gate.amount_minor, gate.currency)} to {gate.payee_name or gate.payee}"
    )


def _number(number: int) -> bytes:
    return number.to_bytes(4, "big")
