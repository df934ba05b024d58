"""Breaking the glass: for an hour at most, two people count as eligible where they are not.

It never lowers how many must agree, and never lets a requester decide. One opens it, a second
human confirms it, each with a key of theirs (`glasskeys`), and the gatekeeper verifies both
before it is broken. Somebody else says afterwards what they found: until then nobody of the
tenant breaks it again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from psycopg.errors import UniqueViolation

from approvals import glasskeys, limits, people
from approvals.errors import BreakGlassRefused
from approvals.models import (
    BreakGlass,
    BreakGlassConfirmation,
    BreakGlassReview,
    KeyRevocation,
)
from approvals.seals import seal, words
from approvals.signing import Signed
from runs import dispatch
from runs.clock import database_now

MAY_BREAK = (people.REVIEWER, people.ADMIN)
MAY_REVIEW = (people.REVIEWER, people.AUDITOR, people.ADMIN)


def open_glass(
    *,
    tenant: str,
    person: Any,
    scope: str,
    subject: str = "",
    minutes: int,
    reason: str,
    id: UUID | None = None,
    signed: Signed | None = None,
) -> BreakGlass:
    """Asks for it; nothing is open until `confirm`, and until the gatekeeper has verified both.

    `signed` is what a key of this person's answered to `opening_challenge` of `glasskeys.asked`;
    its id, which is signed with the rest, was made a moment ago. Raises `BreakGlassRefused`,
    `ReasonMissing` and `SignatureRefused`; then nothing was recorded.
    """
    glass = glasskeys.asked(
        tenant=tenant,
        person=person,
        scope=scope,
        subject=subject,
        minutes=minutes,
        reason=reason,
        id=id,
    )
    _check_may(tenant, person)
    if BreakGlass.objects.filter(pk=glass.pk).exists():
        raise BreakGlassRefused("This was asked for already; look at the page of broken glasses.")
    glasskeys.check_moment(glass.pk, database_now())
    kept = glasskeys.kept(signed, person, glasskeys.opening_challenge(glass))
    for name, value in kept.items():
        setattr(glass, name, value)
    told = (glass.pk, person.pk, glass.scope, minutes, *map(words, (tenant, glass.subject)))
    glass.seal = seal("placet/breakglass/v1", *told, words(glass.reason))
    _insert(glass, "This was asked for already; look at the page of broken glasses.")
    return glass


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


def confirm(
    *, glass_id: UUID, tenant: str, person: Any, signed: Signed | None = None
) -> BreakGlassConfirmation:
    """The second human's word, from which the time runs; the gatekeeper then verifies both keys.

    Raises `BreakGlassRefused` and `SignatureRefused`; then nothing was recorded.
    """
    glass = BreakGlass.objects.select_related("opened_by").get(pk=glass_id, tenant=tenant)
    if because := why_not_confirm(glass, person):
        raise BreakGlassRefused(because)
    kept = glasskeys.kept(signed, person, glasskeys.confirming_challenge(glass, person.pk))
    sealed = seal(
        "placet/breakglass-confirmation/v1", glass.pk, person.pk, digest=bytes(glass.seal)
    )
    with transaction.atomic():
        confirmation = BreakGlassConfirmation(
            breakglass=glass, tenant=tenant, person=person, seal=sealed, **kept
        )
        _insert(confirmation, "It is confirmed already.")
        dispatch.hint("gates", glass.pk)
    confirmation.refresh_from_db()
    return confirmation


def why_not_review(glass: BreakGlass, person: Any) -> str:
    """Why this person may not say what was found, in words; empty when they may."""
    if hasattr(glass, "review"):
        by = glass.review.person
        return f"{'You have' if by == person else f'{by.get_username()} has'} reviewed it already."
    if because := _why_not_broken(glass):
        return f"{because}, so there is nothing to review."
    second = glass.confirmation
    if second.until > database_now():
        return "It is reviewed when its time is over."
    if person.tenant != glass.tenant or not people.has_role(person, *MAY_REVIEW):
        return "A reviewer, an auditor or an admin reviews it."
    human = people.human(person)
    if human in (people.human(glass.opened_by), people.human(second.person)):
        return (
            "You broke the glass, so somebody else reviews it: another reviewer, auditor or admin."
        )
    return ""


def _why_not_broken(glass: BreakGlass) -> str:
    if not hasattr(glass, "confirmation"):
        return "Nobody has confirmed it"
    if not hasattr(glass, "proof"):
        return "The gatekeeper has yet to verify the keys"
    return "" if is_proven(glass) else "It was not broken"


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
    _insert(reviewed, "Somebody else has reviewed it already.")
    return reviewed


def _insert(row: models.Model, taken: str) -> None:
    """Or `BreakGlassRefused` with `taken`, when somebody else came in between."""
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as refused:
        if isinstance(refused.__cause__, UniqueViolation):
            raise BreakGlassRefused(taken) from None
        raise


def _with_people() -> QuerySet[BreakGlass]:
    found = BreakGlass.objects.annotate(is_stopped=_revoked())
    return found.select_related("opened_by", "confirmation__person", "review__person", "proof")


def _revoked() -> Exists:
    """Of a glass: that a key of the two was revoked, so that neither decides by it any more."""
    keys = Q(key=OuterRef("key")) | Q(key=OuterRef("confirmation__key"))
    return Exists(KeyRevocation.objects.filter(keys))


def of_tenant(tenant: str) -> QuerySet[BreakGlass]:
    """All of them with their people, the newest first."""
    return _with_people().filter(tenant=tenant).order_by("-opened_at", "-id")


def active(tenant: str) -> QuerySet[BreakGlass]:
    """Those that are open now."""
    proven = of_tenant(tenant).filter(~_revoked(), proof__because="")
    return proven.filter(confirmation__until__gt=database_now())


def is_any_left(tenant: str) -> bool:
    """Whether there is one that nobody has reviewed, confirmed or not. Every page asks, and where
    there is none, as nearly always, this is a tenth of what it costs to ask for them."""
    return BreakGlass.objects.filter(tenant=tenant, review__isnull=True).exists()


def is_held_by(person: Any) -> bool:
    """Whether this person is one of the two who broke a glass that is open now."""
    if not is_any_left(person.tenant):
        return False
    theirs = Q(opened_by=person) | Q(confirmation__person=person)
    return active(person.tenant).filter(theirs).exists()


def unreviewed(tenant: str) -> QuerySet[BreakGlass]:
    """Those that were confirmed, over or not, and that nobody has reviewed; without those of
    which the gatekeeper found that nobody broke them."""
    is_whole = Q(proof__isnull=False) & ~Q(proof__because="")
    found = of_tenant(tenant).filter(confirmation__isnull=False, review__isnull=True)
    return found.exclude(is_whole)


def is_proven(glass: BreakGlass) -> bool:
    """Whether the gatekeeper has found that both keys signed for it."""
    return hasattr(glass, "proof") and not glass.proof.because


def is_open(glass: BreakGlass, now: datetime) -> bool:
    """Whether the two may decide now, of one from `of_tenant`; `active` for lists."""
    is_stopped = getattr(glass, "is_stopped", False)
    return is_proven(glass) and not is_stopped and bool(glass.confirmation.until > now)


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
