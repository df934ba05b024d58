"""Which keys a person has, and what each of them may sign. Who writes them: `registry`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from approvals.models import Key
from approvals.signatures import PublicKey

HIGH_TIERS = ("typed", "critical")
"""Tiers for which a key must have waited, or been vouched for."""


def keys_of(person: Any) -> QuerySet[Key]:
    """All keys that this person ever had, the newest first, with their revocations."""
    keys = Key.objects.filter(tenant=person.tenant, person=person)
    return keys.select_related("revocation").order_by("-enrolled_at")


def standing_keys_of(person: Any) -> QuerySet[Key]:
    """Those that are not revoked."""
    return keys_of(person).filter(revocation__isnull=True)


def public_key_of(key: Key) -> PublicKey:
    """What a signature of this key is verified with."""
    return PublicKey(
        kind=key.kind,
        credential_id=bytes(key.credential_id),
        public_key=bytes(key.public_key),
        rp_id=key.rp_id,
    )


def may_sign(key: Key, tier: str, at: datetime) -> str:
    """Why this key could not sign for a gate of this tier at that moment; empty when it could.

    Whether it was revoked is another question: see `signing.why_unsigned`.
    """
    is_vouched = key.vouched_at is not None and key.vouched_at <= at
    if is_vouched or key.seasoned_at <= at:
        return ""
    until = key.seasoned_at.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC")
    if tier in HIGH_TIERS:
        return (
            f"The key {key.name!r} is fresh: for a request as high as this it counts from"
            f" {until}, unless two admins vouch for it."
        )
    if not key.is_introduced:
        return (
            f"The key {key.name!r} is fresh, and no older key signed for it: it counts from"
            f" {until}, unless two admins vouch for it."
        )
    return ""
