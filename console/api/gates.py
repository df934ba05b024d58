"""What the calls about gates take and give; see `shapes` for what they have in common."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, JsonValue, StringConstraints

from approvals import counting
from approvals.canaries import told_to
from approvals.eligibility import why_not
from approvals.envelope import envelope_of, phrase
from approvals.history import history_of
from approvals.limits import MAX_REASON_CHARACTERS
from approvals.models import Comment, Decision, Gate
from console.access import DEFAULT_PAGE_SIZE
from console.api.history import ComparisonShown, FactShown
from console.api.shapes import Body, Limit
from console.api.signatures import SignedBody
from console.models import User
from console.pages.history import sentence_of

GateState = Literal[
    "open", "approved", "denied", "changes_requested", "expired", "withdrawn", "revoked"
]
Verdict = Literal["approve", "deny", "changes"]
Tier = Literal["confirm", "passkey", "typed", "critical"]


class Decide(Body):
    verdict: Verdict
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="The digest of the gate as it was shown, in hexadecimal"
    )
    reason: Annotated[str, StringConstraints(max_length=MAX_REASON_CHARACTERS)] = ""
    typed: Annotated[str, StringConstraints(max_length=128)] = Field(
        default="", description="The amount, or the end of the account, where the tier asks for it"
    )
    signed: SignedBody | None = Field(
        default=None, description="What a key of yours answered, where the tier asks for one"
    )


class GateFilter(BaseModel):
    state: GateState | None = None
    view: Literal["mine"] | None = None
    cursor: str = ""
    limit: Limit = DEFAULT_PAGE_SIZE


class DecisionShown(BaseModel):
    id: uuid.UUID
    gate_id: uuid.UUID
    person: str
    verdict: Verdict
    reason: str
    digest: str
    method: str = Field(description="`confirm`, or the kind of the key that signed")
    key_id: uuid.UUID | None
    batch_id: uuid.UUID | None = Field(description="The list that was decided at once, if it was")
    decided_at: datetime

    @classmethod
    def of(cls, decision: Decision) -> DecisionShown:
        return cls(
            id=decision.id,
            gate_id=decision.gate_id,
            person=decision.person.get_username(),
            verdict=decision.verdict,  # type: ignore[arg-type]  # a check constraint keeps it
            reason=decision.reason,
            digest=hexed(decision.digest),
            method=decision.method,
            key_id=decision.key_id,
            batch_id=decision.batch_id,
            decided_at=decision.decided_at,
        )


class CanaryShown(BaseModel):
    """Told to who has decided there, and to all once the gate is closed."""

    flaw: Literal["amount", "account"] = Field(description="What was wrong, in a word")
    said: str = Field(description="What was wrong and how it counts, in words")
    is_caught: bool | None = Field(description="null: you did not decide about it")
    model_gate_id: uuid.UUID = Field(description="The gate of the payment it was modelled on")

    @classmethod
    def to_person(cls, gate: Gate, person: User) -> CanaryShown | None:
        told = told_to(gate, person)
        if told is None:
            return None
        return cls(
            flaw=told.canary.flaw,  # type: ignore[arg-type]  # a check constraint keeps it
            said=told.text,
            is_caught=told.is_caught,
            model_gate_id=told.canary.model_id,
        )


class DecisionMade(DecisionShown):
    canary: CanaryShown | None = Field(description="null: it was no test")

    @classmethod
    def to_person(cls, decision: Decision, person: User) -> DecisionMade:
        shown = DecisionShown.of(decision).model_dump()
        return cls(**shown, canary=CanaryShown.to_person(decision.gate, person))


class CommentShown(BaseModel):
    id: uuid.UUID
    gate_id: uuid.UUID
    person: str
    text: str
    said_at: datetime

    @classmethod
    def of(cls, comment: Comment) -> CommentShown:
        return cls(
            id=comment.id,
            gate_id=comment.gate_id,
            person=comment.person.get_username(),
            text=comment.text,
            said_at=comment.said_at,
        )


class GateSummary(BaseModel):
    id: uuid.UUID
    run_id: uuid.UUID
    step_id: uuid.UUID
    state: GateState
    tool: str
    amount_minor: int | None = Field(description="null where it pays nothing")
    currency: str = Field(description="ISO 4217; empty where it pays nothing")
    payee: str = Field(description="The account that gets the money")
    payee_name: str = Field(description="The name that the tool gives for it; may be empty")
    requester: str
    policy: str
    group: str
    tier: Tier = Field(description="How an approval must be given")
    quorum: int = Field(description="The fewest people whose approval can be enough")
    approvals: int = Field(description="Without those that were taken back")
    digest: str = Field(description="What a decision must name, in hexadecimal")
    phrase: str = Field(description="The digest in words, to compare by eye")
    opened_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    was_canary: bool = Field(description="Whether it was a test; false as long as it is open")

    @classmethod
    def fields_of(cls, gate: Gate) -> dict[str, Any]:
        return {
            "id": gate.id,
            "run_id": gate.run_id,
            "step_id": gate.step_id,
            "state": gate.status,
            "tool": gate.tool,
            "amount_minor": gate.amount_minor,
            "currency": gate.currency,
            "payee": gate.payee,
            "payee_name": gate.payee_name,
            "requester": gate.requester.get_username(),
            "policy": gate.rule_name,
            "group": gate.group,
            "tier": gate.tier,
            "quorum": gate.quorum,
            "approvals": counting.standing(gate.decisions.all()),
            "digest": hexed(gate.digest),
            "phrase": phrase(bytes(gate.digest)),
            "opened_at": gate.opened_at,
            "expires_at": gate.expires_at,
            "closed_at": gate.closed_at,
            "was_canary": gate.was_canary,  # type: ignore[attr-defined]  # see console.access
        }

    @classmethod
    def of(cls, gate: Gate) -> GateSummary:
        return cls(**cls.fields_of(gate))


class GateShown(GateSummary):
    envelope: JsonValue = Field(description="The facts that the digest stands for")
    history: list[FactShown] = Field(description="What is unusual comes first")
    differs: ComparisonShown | None = Field(description="null: no such payment was made before")
    decisions: list[DecisionShown]
    comments: list[CommentShown]
    you: int = Field(description="Your number, by which a statement names you")
    you_may_decide: bool
    why_not: str = Field(description="Why you may not decide; empty when you may")
    canary: CanaryShown | None = Field(description="null: it was no test, or you are not told yet")

    @classmethod
    def to_person(cls, gate: Gate, person: User) -> GateShown:
        obstacle = why_not(gate, person)
        history = history_of(gate)
        compared = history.comparison
        return cls(
            **cls.fields_of(gate),
            envelope=envelope_of(gate),
            history=[FactShown.of(sentence_of(fact)) for fact in history.facts],
            differs=None if compared is None else ComparisonShown.of(compared),
            decisions=[DecisionShown.of(decision) for decision in gate.decisions.all()],
            comments=[CommentShown.of(comment) for comment in gate.comments.all()],
            you=person.pk,
            you_may_decide=not obstacle,
            why_not=obstacle,
            canary=CanaryShown.to_person(gate, person),
        )


class GateList(BaseModel):
    items: list[GateSummary]
    next_cursor: str = Field(description="Empty on the last page")


def hexed(digest: bytes | memoryview) -> str:
    return bytes(digest).hex()
