"""Requests from one person's point of view: what waits for them, and what a row says of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, Prefetch, Q, QuerySet

from approvals import counting
from approvals.canaries import was_canary
from approvals.eligibility import asked_as, is_asked, is_live
from approvals.models import Decision, Gate
from console import access
from console.models import User
from console.pages.endings import payment_state
from console.roles import may
from runs.forks import RequestedBy

COUNTED = 99
"""How far requests are counted: every page says how many wait, however many there are."""

IN_ROWS = (
    *("status", "tier", "needs", "quorum", "groups", "tool"),
    *("amount_minor", "currency", "payee", "payee_name", "opened_at", "expires_at", "closed_at"),
    *("requester__username", "run__workflow", "step__status", "step__error"),
)
IN_VOICES = ("gate", "person", "verdict", "decided_at", "revocation__decision")

VOTED = {
    "approve": "you approved",
    "deny": "you denied",
    "changes": "you asked for changes",
}

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The requests that expire first, for who decides or for who looks on; how many; and how
    many wait on others where none does on this person."""

    gates: Sequence[Gate]
    count: int
    others_count: int


def find_waiting(person: User, *, limit: int) -> Waiting:
    """What waits for this person; for who does not decide, what waits for reviewers."""
    open_gates = access.gates_of(person).filter(is_live())
    decides = may(person, "gates.decide")
    shown = _mine(person) if decides else open_gates
    first = rows_of(shown.order_by("expires_at", "id").only("pk")[:limit], person)
    count = count_for(person) if decides else counted(open_gates)
    return Waiting(
        gates=annotated(first, person),
        count=count,
        # Told only where nothing waits for this person themself.
        others_count=0 if count else counted(open_gates),
    )


def count_for(person: User) -> int:
    """How many open requests this person may decide now, so far as they are counted; once for
    each instance (that is, once a request), for more than one part of a page may say it."""
    if not may(person, "gates.decide"):
        return 0
    known = person.__dict__.get("_placet_count")
    if known is None:
        known = person.__dict__["_placet_count"] = counted(_mine(person))
    return int(known)


def names_of(person: User) -> Sequence[tuple[str, datetime]]:
    """`asked_as` of this person: their groups and roles, read once for each instance."""
    known: Sequence[tuple[str, datetime]] | None = person.__dict__.get("_placet_names")
    if known is None:
        known = person.__dict__["_placet_names"] = asked_as(person)
    return known


def asks(person: User) -> Q:
    """`is_asked` of this person, by what `names_of` them says."""
    return is_asked(person, names_of(person))


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
    return access.gates_of(person).filter(is_live() & asks(person))


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


def rows_of(gates: Iterable[Gate], person: User) -> list[Gate]:
    """These gates, in their order, `with_rows`. Their steps, runs and people are looked up for
    them alone: PostgreSQL would read whole tables to join what it does not know to be so few."""
    ids = [gate.pk for gate in gates]
    known = with_rows(access.gates_of(person), person).in_bulk(ids)
    return [known[id] for id in ids]


def with_rows(gates: QuerySet[Gate], person: User) -> QuerySet[Gate]:
    """With what a row shows, and nothing else: most of what a page costs is to make fifty rows
    of four tables into objects."""
    voices = Decision.objects.select_related("revocation").only(*IN_VOICES)
    rows = gates.select_related("step", "run", "requester").only(*IN_ROWS)
    rows = rows.annotate(is_from_mine=RequestedBy("run_id", person.pk), was_canary=was_canary())
    return rows.prefetch_related(Prefetch("decisions", voices))


def matching(rows: QuerySet[Row], *, query: str, tool: str, gate: str = "") -> QuerySet[Row]:
    """Those of the gates, or of the rows that have one by the name `gate`, that are sought."""
    if tool:
        rows = rows.filter(Q(**{f"{gate}tool": tool}))
    if not query:
        return rows
    # By their ids: a join would look for the words only after everything else has been asked.
    requesters = User.objects.filter(username__icontains=query).values("pk")
    sought = Q(**{f"{gate}requester__in": requesters})
    for place in ("payee", "payee_name", "tool"):
        sought |= Q(**{f"{gate}{place}__icontains": query})
    return rows.filter(sought)
