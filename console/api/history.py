"""What a gate's answer says of the payments before it; see `approvals.history`."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import BaseModel, Field, JsonValue

from approvals.history import Comparison, Kind
from console.pages.history import Sentence


class FactShown(BaseModel):
    """A fact about a payment beside the payments before it; what it does not need is null."""

    kind: Kind
    is_unusual: bool
    sentence: str
    count: int | None
    factor: str | None = Field(description="How many times the median, to one digit")
    amount_minor: int | None
    waiting_minor: int | None
    underway_minor: int | None
    currency: str | None
    payee: str | None = Field(description="The other account")
    at: datetime | None
    gate_id: uuid.UUID | None = Field(description="The request that it is about")

    @classmethod
    def of(cls, said: Sentence) -> FactShown:
        fact = said.fact
        plain = ("count", "amount_minor", "waiting_minor", "underway_minor", "currency", "payee")
        return cls(
            kind=fact.kind,
            is_unusual=fact.is_unusual,
            sentence=said.text,
            factor=said.factor,
            at=fact.at,
            gate_id=fact.gate_id,
            **{name: getattr(fact, name) or None for name in plain},
        )


class ChangeShown(BaseModel):
    name: str
    before: JsonValue
    now: JsonValue
    was_given: bool = Field(description="Whether the payment before had it at all")
    is_given: bool = Field(description="Whether this payment has it at all")


class ComparisonShown(BaseModel):
    """Beside the newest payment made to the same account by the same tool."""

    gate_id: uuid.UUID
    paid_at: datetime
    changes: list[ChangeShown] = Field(description="The arguments that differ")
    same_count: int = Field(description="How many are the same")

    @classmethod
    def of(cls, compared: Comparison) -> ComparisonShown:
        return cls(
            gate_id=compared.gate_id,
            paid_at=compared.paid_at,
            changes=[ChangeShown(**vars(change)) for change in compared.changes],
            same_count=compared.same_count,
        )
