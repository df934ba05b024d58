"""Delegations: letting another reviewer decide for a while, and taking that back."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from approvals import delegations
from approvals.errors import DelegationRefused
from approvals.models import Delegation
from console import access, audit
from console.models import User


def access_delegation(person: User, id: uuid.UUID | str) -> Delegation:
    access.require(person, "delegations.make")
    found = Delegation.objects.select_related("principal", "delegate")
    return access.get_row(found, person, "delegation", id)


def delegate(
    person: User,
    *,
    to: User,
    group: str,
    from_at: datetime,
    until_at: datetime,
    reason: str,
    request: HttpRequest | None = None,
) -> Delegation:
    access.require(person, "delegations.make")
    with transaction.atomic():
        made = delegations.delegate(
            tenant=person.tenant,
            principal=person,
            to=to,
            group=group,
            from_at=from_at,
            until_at=until_at,
            reason=reason,
        )
        detail = {"to": to.username, "group": group, "until": made.until_at.isoformat()}
        audit.record(
            person=person,
            action="delegated",
            subject=f"Delegation to {to.username}",
            subject_id=made.pk,
            detail=detail,
            request=request,
        )
    return made


def revoke_delegation(
    person: User, id: uuid.UUID | str, *, request: HttpRequest | None = None
) -> Delegation:
    """Raises `DelegationRefused` for one that is over, or of other people."""
    found = access_delegation(person, id)
    if person.pk not in (found.principal_id, found.delegate_id):
        raise DelegationRefused("Only the two whom it is about revoke a delegation.")
    with transaction.atomic():
        if not delegations.revoke(delegation_id=found.pk, tenant=person.tenant, person=person):
            raise DelegationRefused("This delegation is over already.")
        audit.record(
            person=person,
            action="delegation_revoked",
            subject=f"Delegation to {found.delegate.get_username()}",
            subject_id=found.pk,
            request=request,
        )
    return found
