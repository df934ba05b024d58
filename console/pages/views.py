"""The views of the inbox, and what an address of it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from console.models import User
from console.roles import may

MAX_QUERY = 100
TEXTS = ("q", "tool")
SORTS = {"expiry": "expires_at", "amount": "-amount_minor"}


@dataclass(frozen=True, kw_only=True)
class View:
    """One view: its word on the tab, what it says of itself, and what when it is empty."""

    name: str
    word: str
    title: str
    empty: str
    why_empty: str
    then: str = ""
    """The view where somebody goes on who finds this one empty; their first, unless it is said."""
    icon: str = "inbox"
    is_open: bool = True


VIEWS = {
    view.name: view
    for view in (
        View(
            name="mine",
            word="Mine",
            title="For you to decide",
            empty="Nothing waits for you",
            why_empty="What a run may not do by itself, such as to pay, appears here as a request."
            " You can leave this page open.",
            then="waiting",
            icon="check",
        ),
        View(
            name="all",
            word="All open",
            title="Open requests",
            empty="No open requests",
            why_empty="What a run may not do by itself, such as to pay, waits here for people.",
            then="closed",
        ),
        View(
            name="waiting",
            word="Waiting on others",
            title="Waiting on others",
            empty="Nothing waits on others",
            why_empty="Here are open requests that others must decide: those of other groups,"
            " your own, and those that you have decided.",
        ),
        View(
            name="expiring",
            word="Expiring",
            title="Expiring within 24 hours",
            empty="Nothing expires within 24 hours",
            why_empty="A request that nobody decides in time is refused, and nothing is done."
            " Those whose time is nearly over appear here.",
            icon="clock",
        ),
        View(
            name="decided",
            word="Decided by me",
            title="Decided by you",
            empty="You have not decided anything yet",
            why_empty="Each request that you approve or deny is listed here, with what became"
            " of it.",
            is_open=False,
        ),
        View(
            name="closed",
            word="Closed",
            title="Closed requests",
            empty="No request has been closed yet",
            why_empty="Requests come here when they are approved, denied, expired or withdrawn,"
            " with what became of them.",
            is_open=False,
        ),
    )
}
OF_REVIEWERS = ("mine", "waiting", "expiring", "decided", "closed")
OF_OTHERS = ("all", "expiring", "closed")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an address of the inbox asks for."""

    view: View
    sort: str
    q: str
    tool: str

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.tool)

    def address(self, view: str, *, is_filtered: bool = True) -> str:
        """The query of another view, with the order and what is sought kept."""
        kept = {"view": view, "sort": self.sort if self.sort != "expiry" else ""}
        if is_filtered:
            kept |= {"q": self.q, "tool": self.tool}
        return "?" + urlencode({name: text for name, text in kept.items() if text})


def read_asked(person: User, given: Mapping[str, str]) -> Asked:
    """The address as this person may have it: a view that is not theirs is their first."""
    # PostgreSQL keeps no NUL, so nothing can be found by one.
    texts = {name: given.get(name, "").replace("\0", "").strip()[:MAX_QUERY] for name in TEXTS}
    offered, sort = views_of(person), given.get("sort", "")
    view = given.get("view", "")
    return Asked(
        view=VIEWS[view if view in offered else offered[0]],
        sort=sort if sort in SORTS else "expiry",
        **texts,
    )


def views_of(person: User) -> Sequence[str]:
    return OF_REVIEWERS if may(person, "gates.decide") else OF_OTHERS
