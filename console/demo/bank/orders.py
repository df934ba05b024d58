"""What the bank takes for a payment order and for a setting of its switches."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from iso4217 import Currency
from stdnum import iban as ibans
from stdnum.exceptions import ValidationError

from console.demo.bank.ledger import SWITCHES

MAX_AMOUNT_MINOR = 100_000_000_000
MAX_TEXT_LENGTH = 140
MAX_KEY_LENGTH = 255
FIELDS = ("iban", "amount_minor", "currency", "reference", "creditor")
# XXX, the metals and the like have a code but no minor unit: nothing can be paid in them.
CURRENCIES = frozenset(c.code for c in Currency if c.exponent is not None)


class OrderRefused(Exception):
    """An order or a setting that the bank does not take; the message is for a person."""


def check_key(key: str) -> str:
    if not key:
        raise OrderRefused("The header Idempotency-Key is missing.")
    if len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        raise OrderRefused(
            f"The Idempotency-Key must be at most {MAX_KEY_LENGTH} printable ASCII characters."
        )
    return key


def check_order(body: Any) -> dict[str, Any]:
    """The order in its normal form, which is what the idempotency key stands for."""
    if not isinstance(body, dict):
        raise OrderRefused("The body must be a JSON object.")
    unknown = sorted(set(body) - set(FIELDS))
    if unknown:
        raise OrderRefused(f"The field {unknown[0][:50]!r} is not known.")
    missing = [name for name in FIELDS if name not in body]
    if missing:
        raise OrderRefused(f"The field {missing[0]!r} is missing.")
    return {
        "iban": _iban(body["iban"]),
        "amount_minor": _amount(body["amount_minor"]),
        "currency": _currency(body["currency"]),
        "reference": _text("reference", body["reference"]),
        "creditor": _text("creditor", body["creditor"]),
    }


def check_switches(body: Any) -> dict[str, float]:
    if not isinstance(body, Mapping):
        raise OrderRefused("The body must be a JSON object.")
    for name, value in body.items():
        if name not in SWITCHES:
            raise OrderRefused(f"There is no switch {str(name)[:50]!r}.")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not 0 <= value <= SWITCHES[name][1]:
            raise OrderRefused(f"{name} must be a number from 0 to {SWITCHES[name][1]}.")
        if name != "delay_seconds" and value != int(value):
            raise OrderRefused(f"{name} must be a whole number.")
    return dict(body)


def _iban(value: Any) -> str:
    if not isinstance(value, str):
        raise OrderRefused("iban must be a string.")
    try:
        # The bank codes of single countries change too often to be refused from a list.
        return ibans.validate(value, check_country=False)
    except ValidationError as error:
        raise OrderRefused("iban is not a valid IBAN.") from error


def _amount(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise OrderRefused("amount_minor must be a whole number of minor units.")
    if not 0 < value <= MAX_AMOUNT_MINOR:
        raise OrderRefused(f"amount_minor must lie between 1 and {MAX_AMOUNT_MINOR}.")
    return value


def _currency(value: Any) -> str:
    if not isinstance(value, str) or value not in CURRENCIES:
        raise OrderRefused("currency is not a currency of ISO 4217.")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT_LENGTH:
        raise OrderRefused(f"{name} must be a text of 1 to {MAX_TEXT_LENGTH} characters.")
    if any(unicodedata.category(character).startswith("C") for character in value):
        raise OrderRefused(f"{name} must not contain control or other unseen characters.")
    return value
