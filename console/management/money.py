"""Amounts of money as people type and read them, at a terminal."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from runs.canonical import CURRENCIES
from runs.limits import MAX_AMOUNT_MINOR


def money(amount_minor: int, currency: str) -> str:
    """Such as 1,250.00 EUR; a currency without an exponent is shown in its units."""
    exponent = CURRENCIES.get(currency, 0)
    return f"{Decimal(amount_minor).scaleb(-exponent):,.{exponent}f} {currency}"


def minor_units(text: str, currency: str) -> int:
    """The minor units that a decimal string means: "1250.00" in EUR is 125000.

    Raises `ValueError` with a sentence.
    """
    if currency not in CURRENCIES:
        raise ValueError(f"{currency!r} is not an ISO 4217 currency.")
    exponent = CURRENCIES[currency]
    try:
        amount = Decimal(text) if text.isascii() and text[:1].isdigit() else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or "e" in text.lower() or "_" in text:
        raise ValueError(f"{text!r} is not an amount; write it such as 1250.00.")
    minor = amount.scaleb(exponent)
    if minor != minor.to_integral_value():
        raise ValueError(f"{text!r} has more than the {exponent} decimals of {currency}.")
    if minor > MAX_AMOUNT_MINOR:
        raise ValueError(f"{text!r} is more than the {MAX_AMOUNT_MINOR} minor units allowed.")
    return int(minor)
