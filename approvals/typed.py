"""The fact that a high tier has a person type: a hand that types reads."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

TIERS = ("typed", "critical")
"""The tiers that ask for it."""

LAST = 4
"""How many of the last characters of the account are asked for."""


def normal(typed: str) -> str:
    """What is signed and kept: without spaces, in capitals."""
    return "".join(typed.split()).upper()


def wanted(envelope: dict[str, Any]) -> str:
    """What to type, in words for the person who types."""
    if envelope["money"] is None:
        return f"the name of the tool, {envelope['tool']}"
    return f"the amount, or the last {LAST} characters of the account"


def is_typed(envelope: dict[str, Any], typed: str) -> bool:
    """Whether it is a fact of this very request: the amount in major units (`98.70`, `98,70`,
    with or without the currency) or the end of the account; without money the tool's name."""
    said, money = normal(typed), envelope["money"]
    if not said:
        return False
    if money is None:
        return said == normal(str(envelope["tool"]))
    account = normal(str(money["payee"]))
    if len(account) >= LAST and said == account[-LAST:]:
        return True
    return _amount(said, money["currency"]) == Decimal(money["amount_minor"]).scaleb(
        -int(money["exponent"])
    )


def _amount(said: str, currency: str) -> Decimal | None:
    bare = said.removeprefix(currency).removesuffix(currency)
    # One comma is a decimal comma where no point stands beside it and not three digits follow.
    if "." not in bare and bare.count(",") == 1 and len(bare.partition(",")[2]) != 3:
        bare = bare.replace(",", ".")
    bare = bare.replace(",", "").replace("'", "").replace("’", "")
    if not bare.isascii() or not bare.replace(".", "", 1).isdigit():
        return None
    try:
        return Decimal(bare)
    except InvalidOperation:
        return None
