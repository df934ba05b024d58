"""Delegations: a reviewer lets another decide in their place, for a while.

A delegate decides as the principal could, never more: whether both are apart from whoever asked
for a run is looked at for each gate (`approvals_delegates`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from approvals import limits, people
from approvals.errors import DelegationRefused
from approvals.models import Delegation, Reviewer
from approvals.seals import seal, words
from runs.clock import database_now
from runs.models import new_id


def delegate(
    *,
    tenant: str,
    principal: Any,
    to: Any,
    group: str = "",
    from_at: datetime,
    until_at: datetime,
    reason: str,
) -> Delegation:
    """Lets `to` decide for the principal in one group, or in all of them (an empty name).

    Moments are kept to the second. Raises `DelegationRefused` and `ReasonMissing`.
    """
    reason = people.reason_of(reason, of="A delegation")
    from_at, until_at = from_at.replace(microsecond=0), until_at.replace(microsecond=0)
    _check_people(tenant, principal, to, group)
    _check_span(from_at, until_at)
    if in_force(tenant).filter(principal=principal).count() >= limits.MAX_DELEGATIONS:
        raise DelegationRefused(
            f"You have {limits.MAX_DELEGATIONS} delegations that are not over; revoke one first."
        )
    id = new_id()
    told = (id, principal.pk, to.pk, words(tenant), words(group))
    spans = (int(from_at.timestamp()), int(until_at.timestamp()))
    return Delegation.objects.create(
        id=id,
        tenant=tenant,
        principal=principal,
        delegate=to,
        group=group,
        from_at=from_at,
        until_at=until_at,
        reason=reason,
        seal=seal("placet/delegation/v1", *told, *spans, words(reason)),
    )


def _check_people(tenant: str, principal: Any, to: Any, group: str) -> None:
    for person in (principal, to):
        if person.tenant != tenant or not people.has_role(person, people.REVIEWER):
            raise DelegationRefused("A reviewer lets another reviewer decide.")
    if people.human(principal) == people.human(to):
        raise DelegationRefused("Nobody delegates to themself.")
    if group and not Reviewer.objects.filter(tenant=tenant, group=group, person=principal).exists():
        raise DelegationRefused(f"You are not in the group {group!r}.")


def _check_span(from_at: datetime, until_at: datetime) -> None:
    now = database_now()
    if until_at <= max(from_at, now):
        raise DelegationRefused("A delegation ends after it begins, and later than now.")
    if until_at > now + timedelta(seconds=limits.DELEGATION_SECONDS):
        days = limits.DELEGATION_SECONDS // (24 * 60 * 60)
        raise DelegationRefused(f"A delegation ends within {days} days; renew it then.")


def revoke(*, delegation_id: UUID, tenant: str, person: Any) -> bool:
    """Ends a delegation of this person's, or one to them; False when it is over already."""
    mine = Q(principal=person) | Q(delegate=person)
    count = in_force(tenant).filter(mine, pk=delegation_id).update(revoked_at=Now())
    return bool(count)


def in_force(tenant: str) -> QuerySet[Delegation]:
    """Those that are not over, also those to come; with their people."""
    found = Delegation.objects.filter(tenant=tenant, revoked_at=None, until_at__gt=Now())
    return found.select_related("principal", "delegate").order_by("from_at", "id")


def of_person(person: Any) -> QuerySet[Delegation]:
    """All that this person gave or was given, the newest first."""
    mine = Q(principal=person) | Q(delegate=person)
    found = Delegation.objects.filter(mine, tenant=person.tenant)
    return found.select_related("principal", "delegate").order_by("-made_at", "-id")
