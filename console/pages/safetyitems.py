"""What the safeguards ask of somebody, for their Home: a voice, a confirmation, a review."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.urls import reverse

from approvals import breakglass, changes, delegations
from approvals.models import Change, Delegation
from console.models import User
from console.pages.changewords import glass_words, title_of
from console.roles import may
from console.safeguards import changing
from runs.clock import database_now

SHOWN = 6


def find_due(person: User) -> Iterable[dict[str, Any]]:
    """Each as title, text, icon, address and since when; only what this person may do now."""
    if may(person, "changes.decide"):
        yield from _changes(person)
    if may(person, "breakglass.open") or may(person, "breakglass.review"):
        yield from _glasses(person)


def _changes(person: User) -> Iterable[dict[str, Any]]:
    found = changing.find_changes(person).filter(status=Change.Status.OPEN)
    for change in found[:SHOWN]:
        if not changes.why_not(change, person):
            yield {
                "title": title_of(change.kind, changes.body_of(change)),
                "text": f"{change.proposed_by.get_username()} proposes it: {change.reason}",
                "icon": "hand",
                "address": reverse("change", args=[change.pk]),
                "since": change.proposed_at,
            }


def _glasses(person: User) -> Iterable[dict[str, Any]]:
    if not breakglass.is_any_left(person.tenant):
        return
    now = database_now()
    for glass in breakglass.of_tenant(person.tenant)[:SHOWN]:
        is_waiting = not hasattr(glass, "confirmation") and breakglass.is_confirmable(glass, now)
        if is_waiting and not breakglass.why_not_confirm(glass, person):
            title, name = "A broken glass waits to be confirmed", "breakglass-confirm"
        elif not breakglass.why_not_review(glass, person):
            title, name = "A broken glass is to be reviewed", "breakglass-review"
        else:
            continue
        yield {
            "title": title,
            "text": f"{glass.opened_by.get_username()}, {glass_words(glass)}: {glass.reason}",
            "icon": "alert",
            "address": reverse(name, args=[glass.pk]),
            "since": glass.opened_at,
        }


def delegated_to(person: User) -> list[Delegation]:
    """The delegations by which this person decides for others now."""
    if not may(person, "delegations.make"):
        return []
    found = delegations.in_force(person.tenant).filter(delegate=person)
    return list(found.filter(from_at__lte=database_now())[:SHOWN])
