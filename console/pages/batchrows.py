"""What a page says of each request of a list: whether it can be decided with others, its facts,
and what became of it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from approvals import eligibility
from approvals.history import history_of
from approvals.limits import MAX_BATCH
from approvals.models import Batch, Gate
from console import access
from console.batching import Row
from console.models import User
from console.pages.endings import BLOCKED, payment_state, refusal_of, what_is_asked
from console.pages.facts import facts_of
from console.pages.history import told_of
from console.pages.requests import asks
from console.pages.views import View
from console.pages.words import money
from console.roles import may

DID = {"approve": "approved", "deny": "denied", "changes": "asked for changes to"}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What was selected: the requests that can be decided at once, and why others cannot."""

    gates: Sequence[Gate]
    left_out: Sequence[tuple[Gate, str, str]]


def mark_selectable(person: User, view: View, gates: Sequence[Gate]) -> None:
    """Says of each gate of a view whether this person may decide it together with others."""
    found = [gate for gate in gates if gate.tier == Gate.Tier.CONFIRM]
    open_ids = {gate.pk for gate in found if gate.status == Gate.Status.OPEN}
    if not may(person, "gates.decide") or view.name not in ("mine", "expiring"):
        open_ids = set()
    elif view.name == "expiring" and open_ids:
        own = Gate.objects.filter(asks(person), pk__in=open_ids)
        open_ids = set(own.values_list("pk", flat=True))
    for gate in gates:
        gate.is_selectable = gate.pk in open_ids  # type: ignore[attr-defined]


def sorted_out(person: User, ids: Sequence[uuid.UUID]) -> Shown:
    """What was selected, each once, and no more than a page of the inbox has.

    Raises `access.NotFound`.
    """
    gates: list[Gate] = []
    left_out: list[tuple[Gate, str, str]] = []
    for id in list(dict.fromkeys(ids))[: access.DEFAULT_PAGE_SIZE]:
        gate = access.access_gate_by_id(person, id, right="gates.decide")
        because = _why_out(gate, person, len(gates))
        if because:
            left_out.append((gate, what_is_asked(gate), because))
        else:
            gates.append(gate)
    return Shown(gates=gates, left_out=left_out)


def _why_out(gate: Gate, person: User, before: int) -> str:
    """Why this request is not decided with the others, in words; empty when it can be."""
    because = eligibility.why_not(gate, person)
    if because:
        return because
    if gate.tier != Gate.Tier.CONFIRM:
        tier = gate.get_tier_display().lower()
        return f"It asks for more than a confirmation ({tier}): open it, and decide it by itself."
    if before >= MAX_BATCH:
        return f"At most {MAX_BATCH} requests are decided at once. It stays in your inbox."
    return ""


def row_of(gate: Gate, person: User) -> dict[str, Any]:
    """Everything that is shown of one request, from its envelope and its history."""
    facts = facts_of(gate, person)
    return {
        "gate": gate,
        "facts": facts,
        "told": told_of(history_of(gate)),
        "why_frozen": facts["why_frozen"],
    }


def sums_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the requests come to by currency, from their envelopes."""
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        paid = row["facts"]["money"]
        if paid:
            sums[paid["currency"]] += paid["amount_minor"]
    return [money(minor, currency) for currency, minor in sorted(sums.items())]


def is_of(row: Row, batch: Batch) -> bool:
    """Whether it was decided by this batch."""
    return row.decision is not None and row.decision.batch_id == batch.pk


def standing_of(row: Row, batch: Batch, viewer: User) -> tuple[str, str]:
    """The verdict that the batch recorded here; else why it recorded none."""
    row.gate.payment = payment_state(row.gate)  # type: ignore[attr-defined]
    if row.decision is not None and is_of(row, batch):
        return row.decision.verdict, ""
    name = batch.person.get_username()
    if row.decision is not None:
        return "", f"{name} {DID[row.decision.verdict]} it by itself."
    return "", f"Not decided here. {_why_not(row.gate, batch, viewer)}"


def _why_not(gate: Gate, batch: Batch, viewer: User) -> str:
    decisions = sorted(gate.decisions.all(), key=lambda d: d.decided_at)
    refusal = refusal_of(decisions)
    voted = refusal or (decisions[-1] if decisions else None)
    last = voted.person.get_username() if voted else "Somebody"
    closed = {
        Gate.Status.APPROVED: f"{last} approved it first, and that was enough.",
        Gate.Status.DENIED: f"{last} denied it first." if refusal else f"{BLOCKED}.",
        Gate.Status.CHANGES_REQUESTED: f"{last} asked for changes first.",
        Gate.Status.EXPIRED: "Its time was over.",
        Gate.Status.WITHDRAWN: "It was withdrawn.",
        Gate.Status.REVOKED: "An approval of it was taken back.",
    }
    if gate.status != Gate.Status.OPEN:
        return closed[Gate.Status(gate.status)]
    if refusal is not None:
        return f"{last} {DID[refusal.verdict]} it first."
    because = eligibility.why_not(gate, batch.person)
    if because and viewer != batch.person:
        return f"{batch.person.get_username()} may not decide it."
    return because or "It is still open, and can be decided by itself."
