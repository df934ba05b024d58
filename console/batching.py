"""Deciding several requests at once: the right, one confirmation, and then each by itself.

As in `deeds`: the audit entries are written in the transactions of the deeds. Each request has a
transaction of its own, so the batch says beforehand what was confirmed; what became of each
request is in its decisions.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from django.db import transaction
from django.http import HttpRequest

from approvals import batches
from approvals.batches import Item
from approvals.canaries import was_canary
from approvals.errors import DecisionRefused
from approvals.models import Batch, Decision, Gate
from console import access, audit, deeds
from console.models import User

__all__ = ["Item", "Row", "Said", "access_batch", "decide_together", "find_rows"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one request: the decision that stands, or why none was recorded."""

    gate: Gate
    decision: Decision | None = None
    refusal: DecisionRefused | None = None


@dataclass(frozen=True, kw_only=True)
class Said:
    """A batch with its rows, in the order in which they were given."""

    batch: Batch
    rows: Sequence[Row]


def decide_together(
    person: User,
    *,
    id: uuid.UUID,
    items: Sequence[Item],
    verdict: deeds.Verdict,
    reason: str,
    request: HttpRequest | None = None,
) -> Said:
    """Record one verdict over a list of requests of the lowest tier, as they were shown.

    The same again, under the same id, goes on where it broke off and changes nothing else.
    Raises `access.Forbidden`, `access.NotFound` and `approvals.errors.DecisionRefused` while
    nothing is recorded; later refusals are told of each request.
    """
    access.require(person, "gates.decide")
    batches.check_size(len(items))
    gates = [access.access_gate_by_id(person, item.gate_id) for item in items]
    with transaction.atomic():
        batch, is_new = batches.begin(
            id=id,
            tenant=person.tenant,
            person=person,
            verdict=verdict,
            reason=reason,
            items=items,
        )
        if is_new:
            _audit(person, batch, request)
    rows = [
        _decide(person, gate, item, batch, request) for gate, item in zip(gates, items, strict=True)
    ]
    return Said(batch=batch, rows=rows)


def access_batch(person: User, id: uuid.UUID) -> Batch:
    access.require(person, "gates.view")
    found = Batch.objects.select_related("person").filter(tenant=person.tenant, pk=id).first()
    if found is None:
        raise access.NotFound("There is no such batch.")
    return found


def find_rows(person: User, batch: Batch) -> list[Row]:
    """Its requests, the first to expire first, each with what its person decided there by now."""
    rows = access.gates_of(person).filter(pk__in=batch.gates).annotate(was_canary=was_canary())
    rows = rows.select_related("step", "run").prefetch_related("decisions__person")
    rows = rows.order_by("expires_at", "id")
    gates = {gate.pk: gate for gate in rows}
    own = Decision.objects.filter(gate__in=gates, person=batch.person).select_related("person")
    decisions = {decision.gate_id: decision for decision in own}
    return [Row(gate=gate, decision=decisions.get(id)) for id, gate in gates.items()]


def _decide(
    person: User,
    gate: Gate,
    item: Item,
    batch: Batch,
    request: HttpRequest | None,
) -> Row:
    try:
        decision = deeds.decide_at_gate(
            person,
            gate.pk,
            verdict=cast(deeds.Verdict, batch.verdict),
            reason=batch.reason,
            digest=item.digest,
            batch=batch,
            request=request,
        )
    except DecisionRefused as refusal:
        return Row(gate=gate, refusal=refusal)
    return Row(gate=gate, decision=decision)


def _audit(person: User, batch: Batch, request: HttpRequest | None) -> None:
    audit.record(
        person=person,
        action="batch_confirmed",
        subject=f"{batch.size} requests: {batch.verdict}",
        subject_id=batch.pk,
        detail={
            "verdict": batch.verdict,
            "count": batch.size,
            "digest": bytes(batch.digest).hex(),
            "reason": batch.reason,
        },
        request=request,
    )
