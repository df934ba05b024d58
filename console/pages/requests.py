"""Requests from one person's point of view: what waits for them, and what a row says of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Model, Prefetch, Q, QuerySet

from approvals import counting
from approvals.eligibility import is_asked, is_live
from approvals.models import Decision, Gate
from console import access
from console.models import User
from console.pages.endings import payment_state
from console.roles import may
from runs.forks import RequestedBy

COUNTED = 999
"""How far requests are counted: every page says how many wait, however many there are."""

VOTED = {
    "approve": "you approved",
    "deny": "you denied",
    "changes": "you asked for changes",
}

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The requests that expire first, for who decides or for who looks on; and how many."""

    gates: Sequence[Gate]
    count: int
    others_count: int


def find_waiting(person: User, *, limit: int) -> Waiting:
    """What waits for this person; for who does not decide, what waits for reviewers."""
    open_gates = access.gates_of(person).filter(is_live())
    asked = may(person, "gates.decide")
    others = open_gates.filter(~is_asked(person)) if asked else open_gates
    shown = open_gates.filter(is_asked(person)) if asked else open_gates
    first = with_rows(shown, person).order_by("expires_at", "id")[:limit]
    return Waiting(
        gates=annotated(first, person), count=counted(shown), others_count=counted(others)
    )


def count_for(person: User) -> int:
    """How many open requests this person may decide now, so far as they are counted."""
    return counted(_mine(person)) if may(person, "gates.decide") else 0


def next_for(person: User) -> Gate | None:
    """The request that this person may decide and that expires first."""
    if not may(person, "gates.decide"):
        return None
    return _mine(person).order_by("expires_at", "id").only("id").first()


def counted(rows: QuerySet[Any]) -> int:
    """How many rows there are; one more than `COUNTED` when there are more than that."""
    return rows.order_by().values("pk")[: COUNTED + 1].count()


def count_words(count: int) -> str:
    """What `counted` gave, as people read it."""
    return str(count) if count <= COUNTED else f"{COUNTED}+"


def _mine(person: User) -> QuerySet[Gate]:
    return access.gates_of(person).filter(is_live() & is_asked(person))


def annotated(
    gates: Iterable[Gate], person: User, groups: frozenset[str] | None = None
) -> list[Gate]:
    """The gates with what a row says of them beyond their columns: `approvals`, `payment` and
    `my_note`, which names the group that is asked where `groups` are given without it."""
    found = list(gates)
    for gate in found:
        decisions = list(gate.decisions.all())
        gate.approvals = counting.standing(decisions)  # type: ignore[attr-defined]
        gate.payment = payment_state(gate)  # type: ignore[attr-defined]
        note = _note(gate, decisions, person)
        if not note and groups is not None and not groups & set(gate.groups):
            note = f"asks {gate.group}"
        gate.my_note = note  # type: ignore[attr-defined]
    return found


def _note(gate: Gate, decisions: list[Decision], person: User) -> str:
    if gate.requester_id == person.pk:
        return "your own"
    if getattr(gate, "is_from_mine", False):
        return "from your run"
    mine = [d for d in decisions if d.person_id == person.pk]
    if mine and counting.is_taken_back(mine[0]):
        return "you took it back"
    if mine:
        return VOTED[mine[0].verdict]
    return ""


def with_rows(gates: QuerySet[Gate], person: User) -> QuerySet[Gate]:
    """With what a row shows, and without what is large in it."""
    decisions = Prefetch("decisions", Decision.objects.select_related("revocation"))
    rows = gates.select_related("step", "run", "requester").prefetch_related(decisions)
    rows = rows.annotate(is_from_mine=RequestedBy("run_id", person.pk))
    return rows.defer("envelope", "run__input", "run__result", "step__arguments", "step__result")


def matching(rows: QuerySet[Row], *, query: str, tool: str, gate: str = "") -> QuerySet[Row]:
    """Those of the gates, or of the rows that have one by the name `gate`, that are sought."""
    if tool:
        rows = rows.filter(Q(**{f"{gate}tool": tool}))
    if not query:
        return rows
    places = ("payee", "payee_name", "tool", "requester__username")
    sought = Q()
    for place in places:
        sought |= Q(**{f"{gate}{place}__icontains": query})
    return rows.filter(sought)
