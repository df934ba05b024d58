"""Seals: an HMAC over what a signed-in person said, with a key that no database role can read.

The database computes each of them again before it takes a row (`approvals.locks`), so that SQL
with the rights of the web process alone says nothing in anybody's name.
"""

from __future__ import annotations

import hashlib
import hmac

from django.conf import settings

from approvals.errors import DecisionRefused


def seal(tag: str, *told: object, digest: bytes = b"") -> bytes:
    """The seal of some words under a tag. Raises `DecisionRefused` without the key.

    The parts are joined by `|`: whatever a person typed must come in as `words` of it.
    """
    message = "|".join(str(part) for part in told)
    return hmac_of(tag.encode() + b"\0" + message.encode() + bytes(digest))


def words(told: str | bytes | memoryview) -> str:
    """What stands for typed words, or bytes, in a seal: their SHA-256, which holds no separator."""
    return hashlib.sha256(told.encode() if isinstance(told, str) else told).hexdigest()


def hmac_of(message: bytes) -> bytes:
    """HMAC-SHA-256 with the seal key. Raises `DecisionRefused` without it."""
    if not settings.PLACET_SEAL_KEY:
        raise DecisionRefused(
            "This process has no seal key, so nobody can decide here; see `manage.py doctor`."
        )
    return hmac.new(bytes.fromhex(settings.PLACET_SEAL_KEY), message, hashlib.sha256).digest()
