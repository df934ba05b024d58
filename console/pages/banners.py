"""What everybody is told on every page while it lasts: a freeze, a broken glass, a late review."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from approvals import breakglass, freezes
from approvals.models import BreakGlass, Freeze
from console.models import User
from console.pages.changewords import frozen_words, glass_words
from console.roles import may
from runs.clock import database_now

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Banner:
    """One line across the page: what is so, why, until when, and where to read more."""

    title: str
    text: str
    icon: str
    tone: str
    address: str
    action: str
    until: datetime | None = None


def banners_of(person: User) -> list[Banner]:
    """Nothing for somebody without a role: they see nothing of others."""
    if not may(person, "safeguards.view"):
        return []
    frozen = list(freezes.active(person.tenant)[: SHOWN + 1])
    found = [_of_freeze(one) for one in frozen[:SHOWN]]
    if len(frozen) > SHOWN:
        found.append(_more())
    if not breakglass.is_any_left(person.tenant):
        return found
    now = database_now()
    glasses = breakglass.unreviewed(person.tenant)
    return found + [said for glass in glasses if (said := _of_glass(glass, now))]


def _of_freeze(freeze: Freeze) -> Banner:
    return Banner(
        title=f"{frozen_words(freeze.scope, freeze.subject)} is frozen.",
        text=freeze.reason,
        icon="lock",
        tone="bad",
        address=reverse("freezes"),
        action="Freezes",
    )


def _more() -> Banner:
    return Banner(
        title="More is frozen.",
        text="The page of freezes lists all of it.",
        icon="lock",
        tone="bad",
        address=reverse("freezes"),
        action="Freezes",
    )


def _of_glass(glass: BreakGlass, now: datetime) -> Banner | None:
    until = glass.confirmation.until
    two = f"{glass.opened_by.get_username()} and {glass.confirmation.person.get_username()}"
    if not breakglass.is_proven(glass):
        return None
    if breakglass.is_open(glass, now):
        said = f"{two} may decide {glass_words(glass)}: {glass.reason}"
        return _glass("The glass is broken.", said, tone="bad", until=until)
    if breakglass.is_late(glass, now):
        said = f"{two} broke the glass, and nobody has reviewed it in time."
        return _glass("A review is overdue.", said, tone="wait")
    return None


def _glass(title: str, text: str, *, tone: str, until: datetime | None = None) -> Banner:
    return Banner(
        title=title,
        text=text,
        icon="alert",
        tone=tone,
        address=reverse("breakglass"),
        action="Break-glass",
        until=until,
    )
