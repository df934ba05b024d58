"""What the views of the inbox hold: which requests, in which order, and how many.

Who has the right to see requests sees the same ones in each of them; which are for a person
to decide is told by `approvals.eligibility.is_asked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.db.models.functions import Now

from approvals.eligibility import is_live
from approvals.models import Gate
from console import access
from console.access import Page
from console.models import User
from console.pages.requests import (
    annotated,
    asks,
    count_for,
    count_words,
    counted,
    matching,
    names_of,
    rows_of,
    with_rows,
)
from console.pages.views import SORTS, VIEWS, Asked, View, views_of
from console.roles import may

EXPIRING = timedelta(hours=24)
"""How near the end of a request is that the view of what expires shows."""
STAYS_GREY = timedelta(seconds=90)
"""How long a request that was closed keeps its place, so that no row moves underhand."""
SHOWN_GREY = 50
"""How many of those one page shows."""
FEW = 200
"""How many requests a search may find to be known by their ids."""


@dataclass(frozen=True, kw_only=True)
class Tab:
    view: View
    address: str
    count: str
    is_current: bool


def find_open(person: User, asked: Asked) -> QuerySet[Gate]:
    """The open requests that are sought, for the page and for the counts of all tabs.

    Where few are, they are found once and known by their ids from then on: to look for words in
    ten thousand rows is most of what a search costs.
    """
    rows = _sought(person, asked).filter(is_live())
    if not asked.q:
        return rows
    ids = list(rows.order_by().values_list("pk", flat=True)[: FEW + 1])
    return rows if len(ids) > FEW else access.gates_of(person).filter(is_live(), pk__in=ids)


def tabs_of(person: User, asked: Asked, among: QuerySet[Gate]) -> list[Tab]:
    """The views of this person. Open requests are counted, `among` those that `find_open` gave;
    closed ones become ever more, so they are not."""
    return [
        Tab(
            view=VIEWS[name],
            address=asked.address(name),
            count=_count(person, asked, name, among) if VIEWS[name].is_open else "",
            is_current=name == asked.view.name,
        )
        for name in views_of(person)
    ]


def _count(person: User, asked: Asked, view: str, among: QuerySet[Gate]) -> str:
    if view == "mine" and not asked.is_filtered:
        return count_words(count_for(person))
    return count_words(counted(among.filter(_belongs(person, view))))


def further(asked: Asked, tabs: Sequence[Tab]) -> Tab | None:
    """Where to go on from an empty view."""
    wanted = asked.view.then or tabs[0].view.name
    return next((tab for tab in tabs if tab.view.name == wanted and not tab.is_current), None)


def find_requests(person: User, asked: Asked, among: QuerySet[Gate], cursor: str) -> Page[Gate]:
    """One page of a view; each gate carries what `annotated` says of it. Open ones are `among`
    those that `find_open` gave."""
    if asked.view.name == "decided":
        return _decided(person, asked, cursor)
    if asked.view.name == "closed":
        rows, order = _closed(person, asked), "-closed_at"
    else:
        rows, order = among.filter(_belongs(person, asked.view.name)), SORTS[asked.sort]
    page = access.page_of(rows.only("pk", order.lstrip("-")), order, cursor=cursor)
    grey = _grey(person, asked, order, cursor) if asked.view.is_open else []
    shown = rows_of(_in_place(page, grey, order), person)
    items = annotated(shown, person, _groups(person, asked))
    return Page(items=items, next_cursor=page.next_cursor)


def _grey(person: User, asked: Asked, order: str, cursor: str) -> list[Gate]:
    """What has just been closed and would be on this page or on those after it; only where each
    belongs is known of it."""
    gates = _closed(person, asked).filter(_belongs(person, asked.view.name))
    lately = gates.filter(closed_at__gt=Now() - STAYS_GREY).only("pk", order.lstrip("-"))
    return list(access.rows_after(lately, order, cursor)[:SHOWN_GREY])


def _closed(person: User, asked: Asked) -> QuerySet[Gate]:
    gates = _sought(person, asked).exclude(status=Gate.Status.OPEN)
    return gates.filter(closed_at__isnull=False)


def _belongs(person: User, view: str) -> Q:
    if view == "mine":
        return asks(person)
    if view == "waiting":
        return ~asks(person)
    if view == "expiring":
        return Q(expires_at__lte=Now() + EXPIRING)
    return Q()


def _sought(person: User, asked: Asked) -> QuerySet[Gate]:
    return matching(access.gates_of(person), query=asked.q, tool=asked.tool)


def _in_place(page: Page[Gate], closed: list[Gate], order: str) -> list[Gate]:
    """The page with the closed ones where they stood while they were open."""
    field, is_turned = order.lstrip("-"), order.startswith("-")

    def place(gate: Gate) -> tuple[Any, Any]:
        return getattr(gate, field), gate.id

    if page.next_cursor:
        last = place(page.items[-1])
        closed = [g for g in closed if (place(g) > last if is_turned else place(g) < last)]
    return sorted([*page.items, *closed], key=place, reverse=is_turned)


def _decided(person: User, asked: Asked, cursor: str) -> Page[Gate]:
    """Paged by what this person decided, and only then joined with the gates of the page."""
    decisions = matching(access.decisions_of(person), query=asked.q, tool=asked.tool, gate="gate__")
    gates = Prefetch("gate", with_rows(access.gates_of(person), person))
    page = access.page_of(decisions.prefetch_related(gates), "-decided_at", cursor=cursor)
    for decision in page.items:
        decision.gate.my_decision = decision  # type: ignore[attr-defined]
    found = annotated([decision.gate for decision in page.items], person)
    return Page(items=found, next_cursor=page.next_cursor)


def _groups(person: User, asked: Asked) -> frozenset[str] | None:
    """The groups and roles of a reviewer, where the rows of others are to say whom they ask."""
    if not asked.view.is_open or not may(person, "gates.decide"):
        return None
    return frozenset(name for name, _ in names_of(person))
