"""What rules are evaluated on: the request itself, and the circumstances that rows tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runs.canonical import LARGEST_NUMBER

Sum = tuple[str, str, int]
"""What is added up: by what, in which currency, over how many seconds."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of a tool that somebody may have to consent to.

    `money` is what `envelope.money_of` says, or None where the tool moves none. `agent` is
    that of the run, and empty where its workflow declares none. `free_text` are the names of the
    arguments that carry free text (see `free_text_of`). `at` is when the gate is opened, by the
    database's clock.
    """

    tool: str
    workflow: str
    agent: str
    requester: str
    tenant: str
    money: dict[str, Any] | None
    arguments: dict[str, Any]
    free_text: tuple[str, ...]
    run_id: str
    at: datetime

    @property
    def payee(self) -> str:
        return str(self.money["payee"]) if self.money else ""

    @property
    def payee_name(self) -> str:
        return str(self.money["payee_name"]) if self.money else ""


@dataclass(frozen=True, kw_only=True)
class Summed:
    """What the other payments sum up to, this request not counted; `is_at_least` when there
    are more of them than were looked at."""

    amount_minor: int
    is_at_least: bool = False


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What rows said about a request at one moment. What was not looked up is None.

    `first_seen`: no payment to this account was made before. `account_changed`: the last
    payment to this name went to another account (None also where the payment has no name).
    `compared_with`: the gate of the last similar action, empty when there was none; `changed`
    says of each argument that was compared whether it differs.
    """

    sums: Mapping[Sum, Summed] = field(default_factory=dict)
    first_seen: bool | None = None
    account_changed: bool | None = None
    compared_with: str | None = None
    changed: Mapping[str, bool] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """A JSON value with a canonical form, for the envelope."""
        return {
            "sums": [
                {
                    "by": by,
                    "currency": currency,
                    "window_seconds": window,
                    "amount_minor": min(one.amount_minor, LARGEST_NUMBER),
                    "is_at_least": one.is_at_least or one.amount_minor > LARGEST_NUMBER,
                }
                for (by, currency, window), one in sorted(self.sums.items())
            ],
            "first_seen": self.first_seen,
            "account_changed": self.account_changed,
            "compared_with": self.compared_with,
            "changed": dict(self.changed),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Circumstances:
        """What `as_json` wrote. Raises `KeyError` or `TypeError` for anything else."""
        return cls(
            sums={
                (one["by"], one["currency"], one["window_seconds"]): Summed(
                    amount_minor=one["amount_minor"], is_at_least=one["is_at_least"]
                )
                for one in value["sums"]
            },
            first_seen=value["first_seen"],
            account_changed=value["account_changed"],
            compared_with=value["compared_with"],
            changed=dict(value["changed"]),
        )


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What must be looked up before a document can be evaluated on a request: sums, whether the
    payee is known, and which arguments differ from the last similar action."""

    sums: tuple[Sum, ...] = ()
    payee: bool = False
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sums or self.payee or self.changed)


def request_of(told: dict[str, Any]) -> Request:
    """The request that a decoded envelope tells of, as the gatekeeper saw it."""
    known = told["circumstances"]
    return Request(
        tool=told["tool"],
        workflow=told["workflow"],
        agent=known["agent"],
        requester=told["requester"],
        tenant=told["tenant"],
        money=told["money"],
        arguments=told["arguments"],
        free_text=tuple(known["free_text"]),
        run_id=told["run"],
        at=datetime.fromisoformat(known["at"]),
    )


def free_text_of(declaration: dict[str, Any], arguments: dict[str, Any]) -> tuple[str, ...]:
    """The arguments of a payment that carry free text: strings in which anything may be said.

    Not the payee, the payee's name, the currency, nor what its schema limits to named values.
    A string within a list or a mapping is free text as well. Empty texts say nothing.
    """
    money = declaration["money"] or {}
    known = {money.get(name) for name in ("payee", "payee_name", "currency")}
    schemas = declaration.get("schema", {}).get("properties", {})
    return tuple(
        name
        for name, value in sorted(arguments.items())
        if name not in known and _says_something(value) and not _is_named(schemas.get(name))
    )


def _says_something(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, dict):
        return any(_says_something(one) for pair in value.items() for one in pair)
    return isinstance(value, list) and any(_says_something(one) for one in value)


def _is_named(schema: Any) -> bool:
    """Whether the schema allows certain values only."""
    if not isinstance(schema, dict):
        return False
    if "enum" in schema or "const" in schema:
        return True
    ways = schema.get("anyOf", [])
    return bool(ways) and all(one.get("type") == "null" or _is_named(one) for one in ways)
