"""Requests, circumstances and documents for the tests of rules; what is not said is plain."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from approvals.rules.document import normalise
from approvals.rules.facts import Circumstances, Request

ACCOUNT = "DE89370400440532013000"
OTHER_ACCOUNT = "NL91ABNA0417164300"
TUESDAY = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
DAY = 24 * 60 * 60
LISTS = {"known": [ACCOUNT], "barred": [OTHER_ACCOUNT]}


def paying(amount_minor: int = 50_000, **changed: Any) -> Request:
    """A payment of 500.00 EUR to ACME on a Tuesday morning."""
    money = {
        "amount_minor": amount_minor,
        "currency": changed.pop("currency", "EUR"),
        "exponent": 2,
        "payee": changed.pop("payee", ACCOUNT),
        "payee_name": changed.pop("payee_name", "ACME"),
    }
    return calling(**{"money": money} | changed)


def calling(**changed: Any) -> Request:
    """A call of `pay` that moves no money."""
    plain: dict[str, Any] = {
        "tool": "pay",
        "workflow": "paying",
        "agent": "clerk",
        "requester": "alice",
        "tenant": "acme",
        "money": None,
        "arguments": {"iban": ACCOUNT, "reference": "rent"},
        "free_text": (),
        "run_id": "00000000-0000-0000-0000-000000000001",
        "at": TUESDAY,
    }
    return Request(**plain | changed)


def document(*rules: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A document in its normal form with these rules."""
    return normalise({"v": 1, "rules": list(rules), "lists": LISTS} | changed)


def rule(then: Any, name: str = "the rule", **when: Any) -> dict[str, Any]:
    return {"name": name, "when": when, "then": then}


CONSENT = {"consent": {"group": "payments"}}
BLOCK = {"block": "Not here."}
ALLOW = "allow"
NOTHING_KNOWN = Circumstances()
