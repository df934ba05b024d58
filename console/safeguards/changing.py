"""What takes two admins: proposing a change, and saying what one thinks of it.

Most of them are about who is in which group of reviewers, so the groups are read here too.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from approvals import changes, groups, registry
from approvals.models import Change, ChangeVoice, Reviewer
from console import access, audit, keyring
from console.models import User


def access_change(person: User, id: uuid.UUID | str, *, right: str = "safeguards.view") -> Change:
    """The change with who proposed it and what people said of it."""
    access.require(person, right)
    found = Change.objects.select_related("proposed_by").prefetch_related("voices__person")
    return access.get_row(found, person, "change", id)


def find_changes(person: User) -> QuerySet[Change]:
    """The changes of the tenant, the newest first."""
    access.require(person, "safeguards.view")
    found = Change.objects.filter(tenant=person.tenant).select_related("proposed_by")
    return found.prefetch_related("voices__person").order_by("-proposed_at", "-id")


def find_members(person: User) -> QuerySet[Reviewer]:
    """Who is in which group of reviewers, by group and name."""
    access.require(person, "safeguards.view")
    found = Reviewer.objects.filter(tenant=person.tenant).select_related("person")
    return found.order_by("group", "person__username")


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
        audit.record(
            person=person,
            action="change_proposed",
            subject=f"Change: {kind}",
            subject_id=change.pk,
            detail=detail,
            request=request,
        )
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
            audit.record(
                person=person,
                action="change_decided",
                subject=f"Change: {change.kind}",
                subject_id=change.pk,
                detail=detail,
                request=request,
            )
    return voice
