"""Figures of rules as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from approvals.limits import MAX_POLICY_NAME
from runs.canonical import CURRENCIES
from runs.declare import shortened
from runs.limits import MAX_AMOUNT_MINOR

MOST_NAMED = 5
"""So many names of a list are told; of the others, how many they are."""
UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
BY = {
    "payee": "to this payee",
    "run": "of this run and those around it",
    "agent": "of this agent",
    "workflow": "of this workflow",
    "tenant": "of this tenant",
}


def amount(minor: int, currency: str) -> str:
    """1,234.50 EUR, with as many decimals as the currency has."""
    exponent = CURRENCIES.get(currency, 0)
    whole, rest = divmod(minor, 10**exponent)
    decimals = f".{rest:0{exponent}d}" if exponent else ""
    return f"{whole:,}{decimals} {currency}"


def span(seconds: int) -> str:
    """In the largest unit that leaves no rest: 90 minutes, 2 days."""
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    return counted(seconds // size, unit)


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def names(given: Sequence[str], word: str = "or", *, most: int = MOST_NAMED) -> str:
    """a, b or c; of a long list, how many more there are."""
    told = [name(one) for one in given[:most]]
    if len(given) > most:
        return f"{', '.join(told)} {word} {len(given) - most} more"
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} {word} {told[-1]}"


def name(text: str) -> str:
    """A name from outside: cut to what a name of a policy may have, nothing in it unseen."""
    cut = shortened(text[: MAX_POLICY_NAME + 1], MAX_POLICY_NAME)
    return "".join(c if c.isprintable() else "?" for c in cut) or "(empty)"


def band(one: dict[str, Any]) -> str:
    above, up_to, currency = one["above_minor"], one["up_to_minor"], one["currency"]
    if up_to >= MAX_AMOUNT_MINOR:
        return f"above {amount(above, currency)}"
    if not above:
        return f"up to {amount(up_to, currency)}"
    return f"above {amount(above, currency)} and up to {amount(up_to, currency)}"
