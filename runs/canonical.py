"""Canonical bytes (RFC 8785) of JSON values, and the stricter rules for money."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from functools import lru_cache
from typing import Any

import iso4217
import rfc8785

from runs import limits
from runs.errors import InvalidArguments, NotCanonical, PayloadTooLarge

STEP_TAG = b"placet/step/v1\0"
KEY_TAG = b"placet/key/v1\0"
LARGEST_NUMBER = 2**53 - 1
# Cc control, Cf format (bidirectional marks, zero width), Cs surrogate, Co private, Zl, Zp.
REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What is drawn as nothing although its category is that of a letter, a mark or a sign.
INVISIBLE = frozenset(
    map(
        chr,
        [
            0x034F,
            0x115F,
            0x1160,
            0x17B4,
            0x17B5,
            0x2800,
            0x3164,
            0xFFA0,
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ],
    )
)
_dump_plain = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
).encode
CURRENCIES: dict[str, int] = {
    c.code: c.exponent for c in iso4217.Currency if c.exponent is not None
}


def encode(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value.

    Raises `NotCanonical` for what JSON cannot say exactly (other types, NaN, numbers
    beyond 2**53 - 1, lone surrogates) and `PayloadTooLarge` beyond the named limits.
    """
    is_plain = _is_plain(value, 0)
    if not is_plain:
        _check(value, 0)
    try:
        encoded = _dump_plain(value).encode() if is_plain else rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise NotCanonical(f"The value has no canonical JSON form: {error}.") from error
    if len(encoded) > limits.MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge(
            f"The value is {len(encoded)} bytes long; at most {limits.MAX_PAYLOAD_BYTES} are kept."
        )
    return encoded


def decode(encoded: bytes | memoryview) -> Any:
    return json.loads(str(encoded, "utf-8", "surrogatepass"))


def _is_plain(value: Any, depth: int) -> bool:
    """Whether the encoder of the standard library writes the very bytes of RFC 8785.

    They differ in floats and in numbers that RFC 8785 refuses, and in the order of keys beyond
    ASCII: RFC 8785 sorts by UTF-16 units. What is neither one nor the other is refused.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return bool(-LARGEST_NUMBER <= value <= LARGEST_NUMBER)
    if depth >= limits.MAX_DEPTH:
        return False
    if kind is dict:
        return all(
            type(key) is str and key.isascii() and _is_plain(item, depth + 1)
            for key, item in value.items()
        )
    return (kind is list or kind is tuple) and all(_is_plain(item, depth + 1) for item in value)


def _check(value: Any, depth: int) -> None:
    if depth > limits.MAX_DEPTH:
        raise PayloadTooLarge(f"The value is nested more than {limits.MAX_DEPTH} levels deep.")
    if isinstance(value, float) and abs(value) > LARGEST_NUMBER:
        # Its canonical digits would be read back as an integer that has no canonical form.
        raise NotCanonical(f"The value has no canonical JSON form: {value} is too large.")
    if isinstance(value, dict):
        for item in value.values():
            _check(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth + 1)


def step_digest(tool: str, arguments: bytes) -> bytes:
    """SHA-256 over the domain tag, the tool's name and the canonical arguments."""
    return hashlib.sha256(STEP_TAG + tool.encode() + b"\0" + arguments).digest()


@lru_cache(maxsize=256)
def step_key(tenant: str, run_id: Any, position: int, tool: str) -> str:
    """The idempotency key of a step: the same for all its attempts, never for another step."""
    parts = b"\0".join([tenant.encode(), str(run_id).encode(), b"%d" % position, tool.encode()])
    return hashlib.sha256(KEY_TAG + parts).hexdigest()


def strict(value: Any, path: str = "") -> Any:
    """The value as a money step may carry it: NFC, no float, no hidden character.

    Raises `InvalidArguments` naming the place.
    """
    if isinstance(value, float):
        raise InvalidArguments(f"{path}: a float cannot be part of a payment; use minor units.")
    if isinstance(value, str):
        return _plain_text(value, path)
    if isinstance(value, dict):
        return {_plain_text(k, path): strict(v, f"{path}/{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item, f"{path}/{index}") for index, item in enumerate(value)]
    return value


def _plain_text(text: str, path: str) -> str:
    # Spaces that look alike become one, so that two payees that look alike are alike.
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    for character in text:
        if unicodedata.category(character) in REFUSED_CATEGORIES or character in INVISIBLE:
            raise InvalidArguments(
                f"{path}: the character U+{ord(character):04X} is invisible or changes the "
                "reading direction, so it cannot be part of a payment."
            )
    return unicodedata.normalize("NFC", text)


def check_money(amount: Any, currency: Any, payee: Any) -> None:
    """Raises `InvalidArguments` unless this is a positive amount in a real currency."""
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise InvalidArguments("The amount must be a whole number of minor units.")
    if amount <= 0:
        raise InvalidArguments(f"The amount is {amount}; a payment must be above zero.")
    if amount > limits.MAX_AMOUNT_MINOR:
        raise InvalidArguments(
            f"The amount is {amount}; at most {limits.MAX_AMOUNT_MINOR} minor units can be paid."
        )
    if currency not in CURRENCIES:
        raise InvalidArguments(f"{currency!r} is not an ISO 4217 currency.")
    if not isinstance(payee, str) or not payee.strip():
        raise InvalidArguments("The payee must not be empty.")
