"""Freezes: stopping at once, and proposing the thaw."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from approvals import freezes
from approvals.models import Change, Freeze
from console import access, audit
from console.models import User
from console.safeguards import changing


def access_freeze(person: User, id: uuid.UUID | str, *, right: str = "safeguards.view") -> Freeze:
    access.require(person, right)
    return access.get_row(Freeze.objects.select_related("by"), person, "freeze", id)


def find_freezes(person: User) -> QuerySet[Freeze]:
    """The freezes of the tenant, those in force and those that were lifted, the newest first."""
    access.require(person, "safeguards.view")
    found = Freeze.objects.filter(tenant=person.tenant).select_related("by", "lifted_by")
    return found.order_by("-at", "-id")


def freeze(
    person: User, *, scope: str, subject: str, reason: str, request: HttpRequest | None = None
) -> Freeze:
    """Freezes at once; what is frozen so already stays frozen once."""
    access.require(person, "freezes.make")
    with transaction.atomic():
        made = freezes.freeze(
            tenant=person.tenant, person=person, scope=scope, subject=subject, reason=reason
        )
        detail = {"scope": made.scope, "subject": made.subject, "reason": reason}
        audit.record(
            person=person,
            action="frozen",
            subject=f"Freeze: {made.scope} {made.subject}".strip(),
            subject_id=made.pk,
            detail=detail,
            request=request,
        )
    return made


def propose_thaw(
    person: User, freeze_id: uuid.UUID | str, *, reason: str, request: HttpRequest | None = None
) -> Change:
    """Proposes that a freeze is lifted. Raises `access.NotFound`."""
    freeze = access_freeze(person, freeze_id, right="freezes.make")
    body = freezes.thaw_body(freeze)
    return changing.propose(person, kind="thaw", body=body, reason=reason, request=request)
