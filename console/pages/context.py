"""What every page needs around its content: navigation, rights, theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from console.models import User
from console.pages.banners import banners_of
from console.pages.requests import count_for
from console.pages.theme import theme_of
from console.roles import may, roles_of

STYLESHEETS = [f"css/{name}.css" for name in ("tokens", "base", "layout", "components", "pages")]
# Name, word, icon, key after "g", right.
PLACES = (
    ("home", "Home", "home", "h", ""),
    ("inbox", "Inbox", "inbox", "i", "gates.view"),
    ("notices", "Notices", "bell", "n", "gates.view"),
    ("questions", "Questions", "question", "q", "runs.view"),
    ("runs", "Runs", "runs", "r", "runs.view"),
    ("schedules", "Schedules", "clock", "c", "runs.view"),
    ("policies", "Policies", "policy", "p", "policies.view"),
    ("freezes", "Safety", "lock", "f", "safeguards.view"),
    ("secrets", "Secrets", "key", "s", "secrets.view"),
    ("audit", "Audit", "audit", "a", "audit.view"),
)
NEAR = ("home", "inbox", "freezes", "secrets", "audit", "runs")
"""What a phone has at its foot, in the order of who comes first; the rest is behind "More"."""
PLACES_AT_FOOT = 4
SECTIONS = {
    "gate": "inbox",
    "gate-decide": "inbox",
    "gate-take-back": "inbox",
    "gate-comment": "inbox",
    "batch-decide": "inbox",
    "batch": "inbox",
    "pace": "inbox",
    "second-looks": "freezes",
    "second-look": "freezes",
    "reviewers": "freezes",
    "run": "runs",
    "run-start": "runs",
    "run-steer": "runs",
    "run-fork": "runs",
    "run-signal": "runs",
    "runs-bulk": "runs",
    "step-settle": "runs",
    "question": "questions",
    "schedule": "schedules",
    "schedule-new": "schedules",
    "schedule-edit": "schedules",
    "schedule-turn": "schedules",
    "schedule-backfill": "schedules",
    "policy": "policies",
    "policy-draft": "policies",
    "freeze-new": "freezes",
    "freeze-thaw": "freezes",
    "changes": "freezes",
    "change": "freezes",
    "change-say": "freezes",
    "groups": "freezes",
    "group-propose": "freezes",
    "breakglass": "freezes",
    "breakglass-open": "freezes",
    "breakglass-confirm": "freezes",
    "breakglass-review": "freezes",
    "delegations": "freezes",
    "delegation-new": "freezes",
    "delegation-revoke": "freezes",
    "notices-mute": "notices",
    "channels": "notices",
    "channel-add": "notices",
    "channel-kinds": "notices",
    "channel-turn": "notices",
    "secret-write": "secrets",
    "scope-grant": "secrets",
    "scope-revoke": "secrets",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """One entry of the navigation."""

    name: str
    word: str
    icon: str
    key: str
    address: str
    is_current: bool
    is_near: bool
    """Whether it has a place of its own at the foot of a phone."""


def console(request: HttpRequest) -> dict[str, Any]:
    """The context processor named in the settings."""
    context: dict[str, Any] = {
        "stylesheets": STYLESHEETS,
        "theme": theme_of(request),
        "is_demo": settings.PLACET_DEMO,
        "served_at": timezone.now(),
    }
    person = getattr(request, "user", None)
    if not isinstance(person, User):
        return context
    match = request.resolver_match
    current = (match.url_name or "") if match else ""
    places = _places(person, SECTIONS.get(current, current))
    return context | {
        "person": person,
        "roles": sorted(roles_of(person)),
        "navigation": places,
        "far": [place for place in places if not place.is_near],
        # Counted where it is shown, which is not in every part of a page.
        "open_for_me": lambda: count_for(person),
        "may_start": may(person, "runs.start"),
        "may_steer": may(person, "runs.cancel"),
        "may_decide": may(person, "gates.decide"),
        "may_enrol": may(person, "keys.enrol"),
        "may_channels": may(person, "channels.view"),
        "may_comment": may(person, "gates.comment"),
        "may_write": may(person, "secrets.write"),
        "may_patterns": may(person, "secrets.view"),
        "may_freeze": may(person, "freezes.make"),
        # Asked for when a whole page is drawn, and not for each part of one.
        "in_force": SimpleLazyObject(lambda: banners_of(person)),
    }


def _places(person: User, current: str) -> list[Place]:
    open_to = [place for place in PLACES if not place[-1] or may(person, place[-1])]
    names = [name for name, *_ in open_to]
    near = [name for name in NEAR if name in names][:PLACES_AT_FOOT]
    return [
        Place(
            name=name,
            word=word,
            icon=icon,
            key=key,
            address=reverse(name),
            is_current=name == current,
            is_near=name in near,
        )
        for name, word, icon, key, _ in open_to
    ]
