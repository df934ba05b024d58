"""Breaking the glass: for an hour at most, two people count as eligible where they are not.

It never lowers how many must agree, and never lets a requester decide. One opens it, a second
human confirms it, and somebody else says afterwards what they found: until then nobody of the
tenant breaks it again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from approvals import limits, people
from approvals.errors import BreakGlassRefused
from approvals.models import BreakGlass, BreakGlassConfirmation, BreakGlassReview
from approvals.seals import seal, words
from runs.clock import database_now
from runs.models import new_id

MAY_BREAK = (people.REVIEWER, people.ADMIN)
MAY_REVIEW = (people.REVIEWER, people.AUDITOR, people.ADMIN)


def open_glass(
    *, tenant: str, person: Any, scope: str, subject: str = "", minutes: int, reason: str
) -> BreakGlass:
    """Asks for it; nothing is open until `confirm`. Raises `BreakGlassRefused`, `ReasonMissing`."""
    reason = people.reason_of(reason, of="Breaking the glass")
    subject = _subject(scope, subject)
    if not 1 <= minutes <= limits.BREAKGLASS_MINUTES:
        raise BreakGlassRefused(
            f"The glass is broken for 1 to {limits.BREAKGLASS_MINUTES} minutes."
        )
    _check_may(tenant, person)
    id = new_id()
    told = (id, person.pk, scope, minutes, words(tenant), words(subject), words(reason))
    return BreakGlass.objects.create(
        id=id,
        tenant=tenant,
        scope=scope,
        subject=subject,
        reason=reason,
        minutes=minutes,
        opened_by=person,
        seal=seal("placet/breakglass/v1", *told),
    )


def _subject(scope: str, subject: str) -> str:
    if scope not in BreakGlass.Scope.values:
        raise BreakGlassRefused("The glass is broken for everything, a tool or a workflow.")
    if scope == BreakGlass.Scope.EVERYTHING:
        return ""
    if not subject.strip():
        raise BreakGlassRefused(f"Say for which {scope} the glass is to be broken.")
    if len(subject) > limits.MAX_FROZEN_CHARACTERS or not subject.isprintable():
        raise BreakGlassRefused(
            f"The {scope} has at most {limits.MAX_FROZEN_CHARACTERS} printable characters."
        )
    return subject.strip()


def _check_may(tenant: str, person: Any) -> None:
    if person.tenant != tenant or not people.has_role(person, *MAY_BREAK):
        raise BreakGlassRefused("A reviewer or an admin breaks the glass.")
    if unreviewed(tenant).exists():
        raise BreakGlassRefused(
            "The glass was broken before, and nobody has reviewed that yet. It stays whole until"
            " somebody has."
        )


def why_not_confirm(glass: BreakGlass, person: Any) -> str:
    """Why this person may not be the second, in words; empty when they may."""
    if hasattr(glass, "confirmation"):
        return "It is confirmed already."
    if not is_confirmable(glass, database_now()):
        return "Nobody confirmed it in time; open it again."
    if people.human(person) == people.human(glass.opened_by):
        return "You opened it, so a second human must confirm it."
    try:
        _check_may(glass.tenant, person)
    except BreakGlassRefused as refused:
        return str(refused)
    return ""


def confirm(*, glass_id: UUID, tenant: str, person: Any) -> BreakGlassConfirmation:
    """The second human's word, from which the time runs. Raises `BreakGlassRefused`."""
    glass = BreakGlass.objects.select_related("opened_by").get(pk=glass_id, tenant=tenant)
    if because := why_not_confirm(glass, person):
        raise BreakGlassRefused(because)
    sealed = seal(
        "placet/breakglass-confirmation/v1", glass.pk, person.pk, digest=bytes(glass.seal)
    )
    confirmation = BreakGlassConfirmation(
        breakglass=glass, tenant=tenant, person=person, seal=sealed
    )
    confirmation.save(force_insert=True)
    confirmation.refresh_from_db()
    return confirmation


def why_not_review(glass: BreakGlass, person: Any) -> str:
    """Why this person may not say what was found, in words; empty when they may."""
    second = getattr(glass, "confirmation", None)
    if second is None or hasattr(glass, "review"):
        return "There is nothing to review."
    if second.until > database_now():
        return "It is reviewed when its time is over."
    if person.tenant != glass.tenant or not people.has_role(person, *MAY_REVIEW):
        return "A reviewer, an auditor or an admin reviews it."
    human = people.human(person)
    is_second = human == people.human(second.person) and not people.has_role(person, people.ADMIN)
    if human == people.human(glass.opened_by) or is_second:
        return "You broke the glass, so somebody else reviews it."
    return ""


def review(*, glass_id: UUID, tenant: str, person: Any, found: str) -> BreakGlassReview:
    """What somebody else found afterwards. Raises `BreakGlassRefused` and `ReasonMissing`."""
    found = people.reason_of(found, of="A review")
    glass = _with_people().get(pk=glass_id, tenant=tenant)
    if because := why_not_review(glass, person):
        raise BreakGlassRefused(because)
    sealed = seal("placet/breakglass-review/v1", glass.pk, person.pk, words(found))
    reviewed = BreakGlassReview(
        breakglass=glass, tenant=tenant, person=person, found=found, seal=sealed
    )
    reviewed.save(force_insert=True)
    return reviewed


def _with_people() -> QuerySet[BreakGlass]:
    return BreakGlass.objects.select_related("opened_by", "confirmation__person", "review__person")


def of_tenant(tenant: str) -> QuerySet[BreakGlass]:
    """All of them with their people, the newest first."""
    return _with_people().filter(tenant=tenant).order_by("-opened_at", "-id")


def active(tenant: str) -> QuerySet[BreakGlass]:
    """Those that are open now."""
    return of_tenant(tenant).filter(confirmation__until__gt=database_now())


def unreviewed(tenant: str) -> QuerySet[BreakGlass]:
    """Those that were confirmed, over or not, and that nobody has reviewed."""
    return of_tenant(tenant).filter(confirmation__isnull=False, review__isnull=True)


def is_overdue() -> Q:
    """For `unreviewed`: those whose review was due a day after their time was over."""
    due = timedelta(seconds=limits.BREAKGLASS_REVIEW_SECONDS)
    return Q(confirmation__until__lte=database_now() - due)


def is_confirmable(glass: BreakGlass, now: datetime) -> bool:
    """Whether there is still time for a second human to confirm it."""
    span = timedelta(seconds=limits.BREAKGLASS_CONFIRM_SECONDS)
    return bool(glass.opened_at + span > now)


def is_late(glass: BreakGlass, now: datetime) -> bool:
    """Whether a confirmed one should have been reviewed by now; `is_overdue` for lists."""
    due = timedelta(seconds=limits.BREAKGLASS_REVIEW_SECONDS)
    return bool(glass.confirmation.until + due <= now and not hasattr(glass, "review"))
