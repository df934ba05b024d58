"""Breaking the glass: one opens it, another confirms it, a third reviews it afterwards."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from approvals import breakglass
from approvals.models import BreakGlass, BreakGlassConfirmation, BreakGlassReview
from approvals.signing import Signed
from console import access, audit
from console.models import User


def access_glass(
    person: User, id: uuid.UUID | str, *, right: str = "safeguards.view"
) -> BreakGlass:
    access.require(person, right)
    return access.get_row(breakglass.of_tenant(person.tenant), person, "break-glass", id)


def find_glasses(person: User) -> QuerySet[BreakGlass]:
    """The broken glasses of the tenant, and those that wait, the newest first."""
    access.require(person, "safeguards.view")
    return breakglass.of_tenant(person.tenant)


def open_glass(
    person: User,
    *,
    scope: str,
    subject: str,
    minutes: int,
    reason: str,
    id: uuid.UUID | None = None,
    signed: Signed | None = None,
    request: HttpRequest | None = None,
) -> BreakGlass:
    access.require(person, "breakglass.open")
    with transaction.atomic():
        glass = breakglass.open_glass(
            tenant=person.tenant,
            person=person,
            scope=scope,
            subject=subject,
            minutes=minutes,
            reason=reason,
            id=id,
            signed=signed,
        )
        detail = {"scope": glass.scope, "subject": glass.subject, "minutes": minutes}
        audit.record(
            person=person,
            action="glass_opened",
            subject="Break-glass",
            subject_id=glass.pk,
            detail=detail | {"reason": reason, "key": str(glass.key)},
            request=request,
        )
    return glass


def confirm_glass(
    person: User,
    id: uuid.UUID | str,
    *,
    signed: Signed | None = None,
    request: HttpRequest | None = None,
) -> BreakGlassConfirmation:
    glass = access_glass(person, id, right="breakglass.open")
    with transaction.atomic():
        confirmed = breakglass.confirm(
            glass_id=glass.pk, tenant=person.tenant, person=person, signed=signed
        )
        detail = {"until": confirmed.until.isoformat(), "opened_by": glass.opened_by.username}
        audit.record(
            person=person,
            action="glass_confirmed",
            subject="Break-glass",
            subject_id=glass.pk,
            detail=detail | {"key": str(confirmed.key)},
            request=request,
        )
    return confirmed


def review_glass(
    person: User, id: uuid.UUID | str, *, found: str, request: HttpRequest | None = None
) -> BreakGlassReview:
    glass = access_glass(person, id, right="breakglass.review")
    with transaction.atomic():
        reviewed = breakglass.review(
            glass_id=glass.pk, tenant=person.tenant, person=person, found=found
        )
        audit.record(
            person=person,
            action="glass_reviewed",
            subject="Break-glass",
            subject_id=glass.pk,
            detail={"found": found},
            request=request,
        )
    return reviewed
