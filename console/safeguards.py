"""What people do to the safeguards: changes by two admins, freezes, the broken glass, delegations.

As in `deeds`: the right, the domain call and the audit entry, in one transaction.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from approvals import breakglass, changes, delegations, freezes, groups, registry
from approvals.errors import DelegationRefused
from approvals.models import (
    BreakGlass,
    BreakGlassConfirmation,
    BreakGlassReview,
    Change,
    ChangeVoice,
    Delegation,
    Freeze,
    Reviewer,
)
from approvals.signing import Signed
from console import access, audit, keyring
from console.access import Row
from console.models import User


def access_change(person: User, id: uuid.UUID | str, *, right: str = "safeguards.view") -> Change:
    """The change with who proposed it and what people said of it."""
    access.require(person, right)
    found = Change.objects.select_related("proposed_by").prefetch_related("voices__person")
    return _only(found, person, "change", id)


def access_freeze(person: User, id: uuid.UUID | str, *, right: str = "safeguards.view") -> Freeze:
    access.require(person, right)
    return _only(Freeze.objects.select_related("by"), person, "freeze", id)


def access_glass(
    person: User, id: uuid.UUID | str, *, right: str = "safeguards.view"
) -> BreakGlass:
    access.require(person, right)
    return _only(breakglass.of_tenant(person.tenant), person, "break-glass", id)


def access_delegation(person: User, id: uuid.UUID | str) -> Delegation:
    access.require(person, "delegations.make")
    found = Delegation.objects.select_related("principal", "delegate")
    return _only(found, person, "delegation", id)


def find_changes(person: User) -> QuerySet[Change]:
    """The changes of the tenant, the newest first."""
    access.require(person, "safeguards.view")
    found = Change.objects.filter(tenant=person.tenant).select_related("proposed_by")
    return found.prefetch_related("voices__person").order_by("-proposed_at", "-id")


def find_freezes(person: User) -> QuerySet[Freeze]:
    """The freezes of the tenant, those in force and those that were lifted, the newest first."""
    access.require(person, "safeguards.view")
    found = Freeze.objects.filter(tenant=person.tenant).select_related("by", "lifted_by")
    return found.order_by("-at", "-id")


def find_glasses(person: User) -> QuerySet[BreakGlass]:
    """The broken glasses of the tenant, and those that wait, the newest first."""
    access.require(person, "safeguards.view")
    return breakglass.of_tenant(person.tenant)


def find_members(person: User) -> QuerySet[Reviewer]:
    """Who is in which group of reviewers, by group and name."""
    access.require(person, "safeguards.view")
    found = Reviewer.objects.filter(tenant=person.tenant).select_related("person")
    return found.order_by("group", "person__username")


def _only(rows: QuerySet[Row], person: User, noun: str, id: uuid.UUID | str) -> Row:
    try:
        wanted = id if isinstance(id, uuid.UUID) else uuid.UUID(id)
    except ValueError:
        raise access.NotFound(f"There is no such {noun}.") from None
    row = rows.filter(tenant=person.tenant, pk=wanted).first()
    if row is None:
        raise access.NotFound(f"There is no such {noun}.")
    return row


def propose_member(
    person: User,
    *,
    kind: str,
    group: str,
    member: User,
    reason: str,
    request: HttpRequest | None = None,
) -> Change:
    """Proposes that somebody joins or leaves a group (`add_reviewer`, `remove_reviewer`)."""
    body = groups.body(group=group.strip(), person=member)
    return propose(person, kind=kind, body=body, reason=reason, request=request)


def propose_thaw(
    person: User, freeze_id: uuid.UUID | str, *, reason: str, request: HttpRequest | None = None
) -> Change:
    """Proposes that a freeze is lifted. Raises `access.NotFound`."""
    freeze = access_freeze(person, freeze_id, right="freezes.make")
    body = freezes.thaw_body(freeze)
    return propose(person, kind="thaw", body=body, reason=reason, request=request)


def propose_vouching(
    person: User, key_id: uuid.UUID | str, *, reason: str, request: HttpRequest | None = None
) -> Change:
    """Proposes that a fresh key of somebody else counts at once. Raises `access.NotFound`."""
    access.require(person, "changes.decide")
    key = keyring.access_key_by_id(person, key_id)
    body = registry.vouching(key)
    return propose(person, kind="vouch_key", body=body, reason=reason, request=request)


def propose(
    person: User,
    *,
    kind: str,
    body: dict[str, Any],
    reason: str,
    request: HttpRequest | None = None,
) -> Change:
    """Proposes a change of any kind. Raises `access.Forbidden` and what
    `approvals.changes.propose` refuses with."""
    access.require(person, "freezes.make" if kind == "thaw" else "changes.decide")
    with transaction.atomic():
        change = changes.propose(
            tenant=person.tenant, person=person, kind=kind, body=body, reason=reason
        )
        detail = {"kind": kind, "digest": bytes(change.digest).hex(), "reason": reason}
        about = (f"Change: {kind}", change.pk)
        _record(request, person, "change_proposed", about, **detail)
    return change


def say(
    person: User,
    change_id: uuid.UUID | str,
    *,
    verdict: str,
    reason: str,
    digest: str,
    request: HttpRequest | None = None,
) -> ChangeVoice:
    """Records what this person says of the change whose digest they saw."""
    change = access_change(person, change_id)
    if person.pk != change.proposed_by_id:
        access.require(person, "changes.decide")
    with transaction.atomic():
        was_said = change.voices.filter(person=person).exists()
        voice = changes.say(
            change_id=change.pk,
            tenant=person.tenant,
            person=person,
            verdict=verdict,
            reason=reason,
            digest=digest,
        )
        if not was_said:
            detail = {"kind": change.kind, "said": verdict, "digest": digest}
            about = (f"Change: {change.kind}", change.pk)
            _record(request, person, "change_decided", about, **detail)
    return voice


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
        about = (f"Freeze: {made.scope} {made.subject}".strip(), made.pk)
        _record(request, person, "frozen", about, **detail)
    return made


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
        about = ("Break-glass", glass.pk)
        _record(request, person, "glass_opened", about, **detail, reason=reason, key=str(glass.key))
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
        about = ("Break-glass", glass.pk)
        _record(request, person, "glass_confirmed", about, **detail, key=str(confirmed.key))
    return confirmed


def review_glass(
    person: User, id: uuid.UUID | str, *, found: str, request: HttpRequest | None = None
) -> BreakGlassReview:
    glass = access_glass(person, id, right="breakglass.review")
    with transaction.atomic():
        reviewed = breakglass.review(
            glass_id=glass.pk, tenant=person.tenant, person=person, found=found
        )
        _record(request, person, "glass_reviewed", ("Break-glass", glass.pk), found=found)
    return reviewed


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
        about = (f"Delegation to {to.username}", made.pk)
        _record(request, person, "delegated", about, **detail)
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
        subject = f"Delegation to {found.delegate.get_username()}"
        _record(request, person, "delegation_revoked", (subject, found.pk))
    return found


def _record(
    request: HttpRequest | None,
    person: User,
    action: str,
    about: tuple[str, uuid.UUID],
    **detail: Any,
) -> None:
    subject, id = about
    audit.record(
        person=person,
        action=action,
        subject=subject,
        subject_id=id,
        detail=detail,
        request=request,
    )
