"""What pages and browsers tell each other about passkeys: challenges, keys, answers."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core import signing as stamps
from django.http import HttpRequest
from django.utils import timezone

from approvals import eligibility, limits, signing, typed
from approvals.enrolment import host_of
from approvals.envelope import envelope_of
from approvals.errors import KeyRefused, SignatureRefused
from approvals.keys import may_sign, standing_keys_of
from approvals.models import Gate, KeyKind
from approvals.signatures import Answer
from approvals.signing import Signed
from console.models import User

_stamper = stamps.TimestampSigner(salt="placet.keys.enrol")
ANSWER = ("key", "client_data", "authenticator_data", "signature")


def new_challenge(person: User) -> str:
    """What a new passkey is asked: nothing is kept of it, because it proves itself."""
    return _stamper.sign(f"{person.pk}.{secrets.token_urlsafe(16)}")


def checked_challenge(person: User, given: str) -> bytes:
    """The challenge that a page of this person's gave. Raises `KeyRefused`."""
    try:
        told = _stamper.unsign(given, max_age=limits.KEY_CHALLENGE_SECONDS)
    except stamps.BadSignature:
        told = ""
    if told.partition(".")[0] != str(person.pk):
        raise KeyRefused("This page was open for too long, or is not yours; nothing was enrolled.")
    return given.encode()


def named_address(request: HttpRequest) -> str:
    """Where passkeys work, if it is not here: they need a name that web and gatekeeper know."""
    here = f"{request.scheme}://{request.get_host()}"
    named = [origin for origin in settings.PLACET_ORIGINS if _is_named(origin)]
    return "" if here in named or not named else named[0] + request.get_full_path()


def usable_keys(person: User, tier: str) -> list[dict[str, str]]:
    """The person's passkeys that may sign at this tier now, as a browser asks for them."""
    now = timezone.now()
    return [
        {"key": str(key.pk), "credential": to_text(bytes(key.credential_id))}
        for key in standing_keys_of(person).filter(kind=KeyKind.PASSKEY)
        if not may_sign(key, tier, now)
    ]


def behalf_of(gate: Gate, person: User) -> User | None:
    """Who is decided for here, where the gate asks somebody who lets this person decide."""
    principal = eligibility.principal_of(gate, person)
    return None if principal is None else User.objects.get(pk=principal)


def sign_context(request: HttpRequest, gate: Gate, person: User) -> dict[str, Any]:
    """What the confirm page needs, to have an approval of this gate signed."""
    tier = signing.tier_of(gate)
    return keys_context(request, person, tier) | {
        "needs_key": signing.needs_key(tier, "approve"),
        "behalf_of": behalf_of(gate, person),
        "typed": typed.wanted(envelope_of(gate)) if tier in typed.TIERS else "",
    }


def keys_context(request: HttpRequest, person: User, tier: str) -> dict[str, Any]:
    """What a page needs on which a key signs that may sign for this tier."""
    keys = usable_keys(person, tier)
    return {
        "keys": json.dumps(keys) if keys else "",
        "why_none": "" if keys else _why_none(person, tier),
        "address": named_address(request),
    }


def signed_of(posted: Mapping[str, Any], prefix: str = "") -> Signed | None:
    """The answer of a key, where one was posted. Raises `SignatureRefused`."""
    given = {name: str(posted.get(prefix + name) or "") for name in ANSWER}
    if not given["signature"]:
        return None
    try:
        return Signed(
            key_id=UUID(given["key"]),
            answer=Answer(
                signature=to_bytes(given["signature"]),
                client_data=to_bytes(given["client_data"]),
                authenticator_data=to_bytes(given["authenticator_data"]),
            ),
        )
    except ValueError:
        raise SignatureRefused("The signature that was sent cannot be read.") from None


def to_bytes(text: str) -> bytes:
    """Bytes from base64url without padding. Raises `ValueError`."""
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(text) from error


def to_text(told: bytes) -> str:
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def _is_named(origin: str) -> bool:
    try:
        return bool(host_of(origin)) and (
            urlsplit(origin).scheme == "https" or host_of(origin) == "localhost"
        )
    except KeyRefused:
        return False


def _why_none(person: User, tier: str) -> str:
    """The first reason, in words, why none of the person's keys signs here."""
    keys = list(standing_keys_of(person))
    if not keys:
        return "You have no passkey yet."
    passkeys = [key for key in keys if key.kind == KeyKind.PASSKEY]
    if not passkeys:
        return "You have a key file and no passkey."
    return may_sign(passkeys[0], tier, timezone.now())
