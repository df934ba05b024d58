"""What is unusual about a payment, and what differs from the last one: facts from rows.

Every figure is counted by the database, in rows of the gate's own tenant. Of this payment the
envelope is read, and of former ones what their gates kept; no word of an agent is believed.
A payment is *made* when its gate is approved and its step has succeeded. A closed gate is looked
at as of its closing, so that it keeps the facts that people decided by.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from approvals import limits
from approvals.envelope import envelope_of
from approvals.figures import Figure, figures_of
from approvals.models import Gate
from runs import canonical

LEAST_OF_MEDIAN = 3
"""Fewer former payments than this have no median worth a word."""


class Kind(StrEnum):
    """What a fact is about."""

    FIRST = "first_payment"
    CHANGED = "account_changed"
    FACTOR = "above_median"
    REPEATED = "paid_before"
    ASKED_AGAIN = "asked_again"
    KNOWN = "known_account"
    OF_RUN = "payment_of_run"
    SUM = "sum_to_account"


USUAL = frozenset({Kind.KNOWN, Kind.OF_RUN, Kind.SUM})
"""What is told for orientation, and is nothing to stop at by itself."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One fact with the figures that its sentence rests on; what it does not need is empty."""

    kind: Kind
    count: int = 0
    tenths: int = 0
    amount_minor: int = 0
    waiting_minor: int = 0
    underway_minor: int = 0
    currency: str = ""
    payee: str = ""
    payee_name: str = ""
    at: datetime | None = None
    gate_id: UUID | None = None
    among: int = 0
    is_at_least: bool = False

    @property
    def is_unusual(self) -> bool:
        return self.kind not in USUAL


@dataclass(frozen=True, kw_only=True)
class Change:
    """One argument that is not what it was; `None` where it was not given at all."""

    name: str
    before: Any
    now: Any
    was_given: bool
    is_given: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """This payment beside the newest one made to the same account by the same tool."""

    gate_id: UUID
    paid_at: datetime
    before: dict[str, Any]
    now: dict[str, Any]
    changes: tuple[Change, ...]
    same_count: int


@dataclass(frozen=True, kw_only=True)
class History:
    """The facts, what is unusual first; `among` is 0 when all closed gates were looked at."""

    tool: str
    facts: tuple[Fact, ...]
    comparison: Comparison | None
    among: int


def history_of(gate: Gate) -> History:
    """What the tenant's rows say about this gate, in two statements; the gate has its step."""
    told = envelope_of(gate)
    if told["money"] is None:
        return History(tool=told["tool"], facts=(), comparison=None, among=0)
    found = figures_of(gate, told)
    among = limits.HISTORY_GATES if found["closed"].count >= limits.HISTORY_GATES else 0
    facts = _facts(gate, told["money"], found, among)
    return History(
        tool=told["tool"],
        facts=tuple(sorted(facts, key=lambda fact: not fact.is_unusual)),
        comparison=_comparison(gate, told["arguments"], found["tool"]),
        among=among,
    )


def _facts(gate: Gate, money: dict[str, Any], found: dict[str, Figure], among: int) -> list[Fact]:
    facts = [
        _of_account(found["account"], among),
        _changed(money, found["name"]),
        _above_median(money, found["twice_the_median"]),
        _named(Kind.REPEATED, found["repeated"]),
    ]
    if found["run"].count:
        facts.append(Fact(kind=Kind.OF_RUN, count=found["run"].count + 1))
    if gate.status == Gate.Status.OPEN:
        facts += [_named(Kind.ASKED_AGAIN, found["asked_again"]), _sum(money, found)]
    return [fact for fact in facts if fact is not None]


def _of_account(made: Figure, among: int) -> Fact:
    kind = Kind.KNOWN if made.count else Kind.FIRST
    return Fact(kind=kind, count=made.count, at=made.at, gate_id=made.gate_id, among=among)


def _named(kind: Kind, found: Figure) -> Fact | None:
    if not found.count:
        return None
    return Fact(kind=kind, count=found.count, at=found.at, gate_id=found.gate_id)


def _changed(money: dict[str, Any], last: Figure) -> Fact | None:
    if not last.count or last.payee == money["payee"][:255]:
        return None
    return Fact(
        kind=Kind.CHANGED,
        payee=last.payee,
        payee_name=money["payee_name"],
        at=last.at,
        gate_id=last.gate_id,
    )


def _above_median(money: dict[str, Any], twice: Figure) -> Fact | None:
    """Twice the median is a whole number of minor units; the median itself may not be."""
    if twice.count < LEAST_OF_MEDIAN or money["amount_minor"] < twice.amount_minor:
        return None
    return Fact(
        kind=Kind.FACTOR,
        count=twice.count,
        tenths=money["amount_minor"] * 20 // twice.amount_minor,
        amount_minor=twice.amount_minor // 2,
        currency=money["currency"],
    )


def _sum(money: dict[str, Any], found: dict[str, Figure]) -> Fact | None:
    """What the account would have got; what is approved and not paid yet counts as well."""
    parts = [found[name] for name in ("paid_lately", "underway", "waiting")]
    if not any(part.count for part in parts):
        return None
    is_cut = found["closed"].count >= limits.HISTORY_GATES and not found["closed_long_ago"].count
    return Fact(
        kind=Kind.SUM,
        count=found["waiting"].count,
        amount_minor=money["amount_minor"] + sum(part.amount_minor for part in parts),
        waiting_minor=found["waiting"].amount_minor,
        underway_minor=found["underway"].amount_minor,
        currency=money["currency"],
        is_at_least=is_cut or found["open"].count >= limits.HISTORY_GATES,
    )


def _comparison(gate: Gate, now: dict[str, Any], last: Figure) -> Comparison | None:
    if last.gate_id is None or last.at is None:
        return None
    former = Gate.objects.only("envelope").get(tenant=gate.tenant, pk=last.gate_id)
    before = envelope_of(former)["arguments"]
    names = sorted(before.keys() | now.keys())
    changes = tuple(
        Change(
            name=name,
            before=before.get(name),
            now=now.get(name),
            was_given=name in before,
            is_given=name in now,
        )
        for name in names
        if name not in before or name not in now or _differ(before[name], now[name])
    )
    return Comparison(
        gate_id=last.gate_id,
        paid_at=last.at,
        before=before,
        now=now,
        changes=changes,
        same_count=len(names) - len(changes),
    )


def _differ(before: Any, now: Any) -> bool:
    """By their bytes: to Python, `True` is 1."""
    return canonical.encode(before) != canonical.encode(now)
