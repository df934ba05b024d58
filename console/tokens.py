"""Bearer tokens of people: made once, shown once, kept as a hash.

A token never carries more than its person has: each call asks for the scope and for the
person's right. The secret part has 256 random bits, so a plain SHA-256 is enough: there
is no dictionary to try.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.db.models.functions import Now

from console.models import ApiToken, User

PREFIX = "placet_"
SECRET_BYTES = 32
MAX_TOKEN_LENGTH = 128
USE_NOTED_EVERY = timedelta(minutes=1)
# What each scope opens, as a right of the roles.
SCOPES: dict[str, tuple[str, ...]] = {
    "runs:read": ("runs.view",),
    "runs:write": (
        "runs.start",
        "runs.cancel",
        "runs.signal",
        "steps.settle",
        "questions.answer",
    ),
    "gates:read": ("gates.view",),
    "gates:decide": ("gates.decide",),
    "gates:comment": ("gates.comment",),
    "policies:read": ("policies.view",),
    "safeguards:read": ("safeguards.view",),
    "safeguards:write": (
        *("freezes.make", "changes.decide"),
        *("breakglass.open", "breakglass.review"),
    ),
    "figures:read": ("figures.view",),
}


class UnknownScope(ValueError):
    """A scope that does not exist was asked for."""


def create_token(
    person: User, scopes: Iterable[str], name: str, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """A new token of this person, and its plain text, which cannot be had again."""
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise UnknownScope(
            f"There is no scope {unknown[0]!r}; the scopes are {', '.join(SCOPES)}."
            if unknown
            else f"A token needs at least one scope; the scopes are {', '.join(SCOPES)}."
        )
    plain = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    token = ApiToken.objects.create(
        tenant=person.tenant,
        person=person,
        name=name,
        hash=_hash(plain),
        scopes=wanted,
        expires_at=expires_at,
    )
    return token, plain


def find_token(plain: str) -> ApiToken | None:
    """The live token with this text, with its person; None when it does not count.

    Whether it is unknown, expired, revoked or its person is not active is not told apart.
    """
    if not plain.startswith(PREFIX) or len(plain) > MAX_TOKEN_LENGTH:
        return None
    return (
        ApiToken.objects.select_related("person")
        .filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=Now()),
            hash=_hash(plain),
            revoked_at__isnull=True,
            person__is_active=True,
            person__tenant=F("tenant"),
        )
        .first()
    )


def note_use(token: ApiToken) -> None:
    """Remember the use, at most once a minute: a busy token must not become a hot row."""
    ApiToken.objects.filter(
        Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - USE_NOTED_EVERY), id=token.id
    ).update(last_used_at=Now())


def revoke_token(token: ApiToken) -> bool:
    """End the token from now on; False when it was revoked before."""
    revoked = ApiToken.objects.filter(id=token.id, revoked_at__isnull=True)
    return revoked.update(revoked_at=Now()) == 1


def opens(token: ApiToken, right: str) -> bool:
    """Whether one of the token's scopes opens this right."""
    return any(right in SCOPES.get(scope, ()) for scope in token.scopes)


def _hash(plain: str) -> bytes:
    return hashlib.sha256(plain.encode()).digest()
