"""What people do with keys: right, verb of the registry, audit entry, in one transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Max, QuerySet
from django.http import HttpRequest

from approvals import registry
from approvals.enrolment import Enrolment
from approvals.errors import KeyRefused
from approvals.keys import keys_of
from approvals.models import Decision, Key, KeyRequest
from approvals.registry import Introduction
from console import access, audit
from console.models import User
from console.roles import may


@dataclass(frozen=True, kw_only=True)
class Held:
    """A key as its page shows it."""

    key: Key
    state: str
    last_used_at: datetime | None


def held_by(person: User, now: datetime) -> list[Held]:
    """The person's own keys, the newest first."""
    access.require(person, "keys.enrol")
    return _held(keys_of(person), now)


def held_by_others(person: User, now: datetime) -> list[Held]:
    """The standing keys of everybody else in the tenant, for who may revoke them."""
    access.require(person, "keys.revoke")
    others = Key.objects.filter(tenant=person.tenant, revocation__isnull=True)
    others = others.exclude(person=person).select_related("revocation", "person")
    return _held(others.order_by("person__username", "-enrolled_at"), now)


def fresh_of_others(person: User, now: datetime) -> list[Held]:
    """Those of them that two admins may vouch for: `waiting` and `fresh` ones."""
    return [one for one in held_by_others(person, now) if one.state in ("waiting", "fresh")]


def requests_of(person: User) -> QuerySet[KeyRequest]:
    """What the gatekeeper has not answered yet, and what it refused, the newest first."""
    access.require(person, "keys.enrol")
    asked = KeyRequest.objects.filter(tenant=person.tenant, person=person, key__isnull=True)
    return asked.order_by("-asked_at")


def enrol_key(
    person: User,
    *,
    name: str,
    enrolment: Enrolment,
    introduction: Introduction | None = None,
    request: HttpRequest | None = None,
) -> KeyRequest:
    """Ask for a key of this person's to be enrolled; the gatekeeper does it, or says why not.

    Raises `access.Forbidden`, `approvals.errors.KeyRefused` and `SignatureRefused`.
    """
    access.require(person, "keys.enrol")
    with transaction.atomic():
        asked = registry.request_key(
            person=person, name=name, enrolment=enrolment, introduction=introduction
        )
        audit.record(
            person=person,
            action="key_enrolled",
            subject=f"Key {asked.name}",
            subject_id=asked.id,
            detail={
                "kind": asked.kind,
                "introduced_by": str(asked.introduced_by_id or ""),
            },
            request=request,
        )
    return asked


def access_key_by_id(person: User, id: uuid.UUID | str) -> Key:
    """A key that this person may revoke. Raises `access.Forbidden` and `access.NotFound`."""
    access.require(person, "keys.enrol")
    keys = Key.objects.filter(tenant=person.tenant).select_related("person", "revocation")
    if not may(person, "keys.revoke"):
        keys = keys.filter(person=person)
    try:
        return keys.get(pk=uuid.UUID(str(id)))
    except (ValueError, Key.DoesNotExist):
        raise access.NotFound("There is no such key.") from None


def revoke_key(
    person: User,
    id: uuid.UUID | str,
    *,
    reason: str = "",
    request: HttpRequest | None = None,
) -> Key:
    """End a key: one's own, or as an admin anybody's. Twice is once.

    Raises `access.Forbidden`, `access.NotFound` and `approvals.errors.KeyRefused`.
    """
    key = access_key_by_id(person, id)
    if hasattr(key, "revocation"):
        return key
    with transaction.atomic():
        registry.revoke_key(key=key, person=person, reason=reason)
        audit.record(
            person=person,
            action="key_revoked",
            subject=f"Key {key.name} of {key.person.get_username()}",
            subject_id=key.id,
            detail={"kind": key.kind, "of": key.person.get_username(), "reason": reason},
            request=request,
        )
    return key


def state_of(key: Key, now: datetime) -> str:
    """`revoked`, `waiting` (signs nothing yet), `fresh` (not for high tiers yet) or `standing`."""
    if hasattr(key, "revocation"):
        return "revoked"
    if key.vouched_at is not None or key.seasoned_at <= now:
        return "standing"
    return "fresh" if key.is_introduced else "waiting"


def _held(keys: QuerySet[Key], now: datetime) -> list[Held]:
    found = list(keys)
    used = Decision.objects.filter(key__in=found).values("key").annotate(last=Max("decided_at"))
    last = {row["key"]: row["last"] for row in used}
    return [Held(key=key, state=state_of(key, now), last_used_at=last.get(key.pk)) for key in found]


__all__ = [
    "Held",
    "KeyRefused",
    "access_key_by_id",
    "enrol_key",
    "fresh_of_others",
    "held_by",
    "held_by_others",
    "requests_of",
    "revoke_key",
    "state_of",
]
