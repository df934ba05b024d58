"""Policies in words: their rules as pages draw them, and what a draft would have changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from approvals.rules import telling
from approvals.rules.replay import Change, Replayed, count
from console.pages.words import money

ORDER = (Change.ALLOWED, Change.BLOCKED, Change.ASKED, Change.OTHERWISE, Change.SAME)
"""What an admin looks at first: what nobody would be asked about any more."""
SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class RuleShown:
    """One rule: its number in the order, when it matches, and what follows."""

    number: int
    name: str
    kind: str
    conditions: Sequence[str]
    outcome: Sequence[str]


def rules_of(document: dict[str, Any]) -> list[RuleShown]:
    return [
        RuleShown(
            number=number,
            name=rule["name"],
            kind=next(iter(rule["then"])),
            conditions=telling.conditions(rule["when"]),
            outcome=telling.outcome(rule["then"]),
        )
        for number, rule in enumerate(document["rules"], 1)
    ]


def freezes_of(document: dict[str, Any]) -> list[str]:
    """At which denials something is frozen by itself, a phrase for each."""
    return [telling.freeze(one) for one in document["freezes"]]


def canaries_of(document: dict[str, Any]) -> str:
    """How often reviewers are tested; empty where they are not."""
    return telling.canaries(document) if "canaries" in document else ""


def place_of(pointer: str) -> str:
    """Where a fault is, for people who count from one."""
    found = re.match(r"/rules/(\d+)", pointer)
    if found:
        return f"Rule {int(found[1]) + 1}"
    return "The whole policy" if not pointer else pointer.split("/")[1].capitalize()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a draft does to past requests: how many by how, and the first of them."""

    counts: Sequence[tuple[Change, int]]
    rows: Sequence[dict[str, Any]]
    total: int


def trial_of(replayed: Sequence[Replayed]) -> Trial:
    counts = count(replayed)
    rows = sorted(replayed, key=lambda one: ORDER.index(one.change))
    return Trial(
        counts=[(change, counts[change]) for change in ORDER],
        rows=[_row(one) for one in rows[:SHOWN]],
        total=len(replayed),
    )


def _row(one: Replayed) -> dict[str, Any]:
    asked = one.request
    paid = asked.money
    return {
        "change": one.change,
        "gate": one.gate_id,
        "run": asked.run_id,
        "tool": asked.tool,
        "amount": money(paid["amount_minor"], paid["currency"]) if paid else "",
        "payee": asked.payee_name or asked.payee,
        "requester": asked.requester,
        "at": asked.at,
        "before": one.before,
        "after": one.after,
    }
