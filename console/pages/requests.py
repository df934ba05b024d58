"""Open requests from one person's point of view: mine to decide, or waiting on others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from approvals.models import Decision, Gate, Reviewer
from console import access
from console.models import User
from console.pages.endings import payment_state
from console.roles import may

SHOWN = 50
"""Requests in one section of the inbox; more are found by search."""
SHOWN_DECIDED = 10
DECIDED_LATELY = timedelta(days=30)
"""How old a closed request of that section may be; it bounds what has to be searched."""
STAYS_GREY = timedelta(seconds=90)
"""How long a request that others closed keeps its place, so that no row moves underhand."""


@dataclass(frozen=True, kw_only=True)
class Requests:
    """What the inbox shows; each gate carries `approvals` and `my_note`."""

    mine: Sequence[Gate]
    others: Sequence[Gate]
    decided: Sequence[Gate]
    mine_count: int
    others_count: int


def count_for(person: User) -> int:
    """How many open requests this person may decide now."""
    if not may(person, "gates.decide"):
        return 0
    return _eligible(person).filter(_is_live()).count()


def next_for(person: User) -> Gate | None:
    """The request that this person may decide and that expires first."""
    if not may(person, "gates.decide"):
        return None
    return _eligible(person).filter(_is_live()).order_by("expires_at", "id").only("id").first()


def find_requests(person: User, query: str = "") -> Requests:
    access.require(person, "gates.view")
    gates = _matching(_gates(person), query)
    eligible = _matching(_eligible(person), query) if may(person, "gates.decide") else gates.none()
    open_gates = gates.filter(_is_live())
    others = open_gates.exclude(id__in=eligible.values("id"))
    shown = _with_rows(eligible.filter(_is_live() | _closed_just_now()))
    mine = list(shown.order_by("expires_at", "id")[:SHOWN])
    lately = gates.filter(opened_at__gt=timezone.now() - DECIDED_LATELY)
    decided = lately.exclude(status=Gate.Status.OPEN).exclude(id__in=[g.id for g in mine])
    return Requests(
        mine=annotated(mine, person),
        others=annotated(_with_rows(others).order_by("expires_at", "id")[:SHOWN], person),
        decided=annotated(_with_rows(decided).order_by("-closed_at")[:SHOWN_DECIDED], person),
        mine_count=eligible.filter(_is_live()).count(),
        others_count=others.count(),
    )


def annotated(gates: Iterable[Gate], person: User) -> list[Gate]:
    """The gates with what a row says of them beyond their columns."""
    found = list(gates)
    for gate in found:
        decisions = list(gate.decisions.all())
        gate.approvals = sum(d.verdict == "approve" for d in decisions)  # type: ignore[attr-defined]
        gate.payment = payment_state(gate)  # type: ignore[attr-defined]
        gate.my_note = _note(gate, decisions, person)  # type: ignore[attr-defined]
    return found


def _note(gate: Gate, decisions: list[Decision], person: User) -> str:
    if gate.requester_id == person.pk:
        return "your own"
    mine = [d for d in decisions if d.person_id == person.pk]
    if mine:
        return "you approved" if mine[0].verdict == "approve" else "you denied"
    return ""


def _gates(person: User) -> QuerySet[Gate]:
    return Gate.objects.filter(tenant=person.tenant)


def _eligible(person: User) -> QuerySet[Gate]:
    """Gates that this person is asked about: in the group, not their own, no vote yet."""
    groups = Reviewer.objects.filter(tenant=person.tenant, person=person).values("group")
    voted = Decision.objects.filter(tenant=person.tenant, gate=OuterRef("pk"), person=person)
    return _gates(person).filter(group__in=groups).exclude(requester=person).exclude(Exists(voted))


def _is_live() -> Q:
    """Open, and not past its time (the gatekeeper closes it a moment later)."""
    return Q(status=Gate.Status.OPEN, expires_at__gt=timezone.now())


def _closed_just_now() -> Q:
    return ~Q(status=Gate.Status.OPEN) & Q(closed_at__gt=timezone.now() - STAYS_GREY)


def _with_rows(gates: QuerySet[Gate]) -> QuerySet[Gate]:
    """With what a row of the inbox shows, and without what is large in it."""
    rows = gates.select_related("step", "run", "requester").prefetch_related("decisions")
    return rows.defer("envelope", "run__input", "run__result", "step__arguments", "step__result")


def _matching(gates: QuerySet[Gate], query: str) -> QuerySet[Gate]:
    if not query:
        return gates
    return gates.filter(
        Q(payee__icontains=query)
        | Q(payee_name__icontains=query)
        | Q(tool__icontains=query)
        | Q(requester__username__icontains=query)
    )
