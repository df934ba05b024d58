"""The calls about the pace of one's approvals: what they were, and that one looked over them."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.http import HttpResponse
from ninja import Router
from pydantic import BaseModel, ConfigDict, Field

from approvals.models import Decision, Recap
from approvals.pace import Pace, pace_of
from console.api.auth import ApiRequest, door
from console.api.idempotency import answer, once
from console.lookingback import recap as look_over

router = Router()


class LookOver(BaseModel):
    model_config = ConfigDict(extra="forbid")

    upto: uuid.UUID = Field(description="The newest decision of those that were shown")


class ApprovalShown(BaseModel):
    decision_id: uuid.UUID
    gate_id: uuid.UUID
    tool: str
    rule: str
    amount_minor: int | None = Field(description="null where it pays nothing")
    currency: str
    payee: str
    payee_name: str
    decided_at: datetime

    @classmethod
    def of(cls, decision: Decision) -> ApprovalShown:
        gate = decision.gate
        return cls(
            decision_id=decision.pk,
            gate_id=gate.pk,
            tool=gate.tool,
            rule=gate.rule_name,
            amount_minor=gate.amount_minor,
            currency=gate.currency,
            payee=gate.payee,
            payee_name=gate.payee_name,
            decided_at=decision.decided_at,
        )


class PaceShown(BaseModel):
    approvals: list[ApprovalShown] = Field(description="Those that count now, the newest first")
    sums: dict[str, int] = Field(description="What they come to, in minor units by currency")
    left: int = Field(description="How many more approvals are taken now")
    upto: uuid.UUID | None = Field(description="What a recap names; null where nothing is due")
    free_at: datetime | None = Field(
        description="From when one more is taken without a recap; null where one is taken now"
    )

    @classmethod
    def of(cls, pace: Pace) -> PaceShown:
        return cls(
            approvals=[ApprovalShown.of(decision) for decision in pace.approvals],
            sums=pace.sums,
            left=pace.left,
            upto=pace.approvals[0].pk if pace.is_too_fast else None,
            free_at=pace.free_at if pace.is_too_fast else None,
        )


class RecapShown(BaseModel):
    id: uuid.UUID
    upto: uuid.UUID
    approvals: int
    at: datetime

    @classmethod
    def of(cls, made: Recap) -> RecapShown:
        return cls(id=made.pk, upto=made.upto_id, approvals=made.approvals, at=made.at)


@router.get("/pace", auth=door("gates.decide"), response=PaceShown)
def get_pace(request: ApiRequest) -> HttpResponse:
    """What you approved lately, and whether you are to look over it before you go on."""
    return answer(PaceShown.of(pace_of(request.auth.person)))


@router.post("/recap", auth=door("gates.decide"), response={201: RecapShown})
def recap(request: ApiRequest, body: LookOver) -> HttpResponse:
    """Say that you looked over your approvals, after a `too-fast`, and go on."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        made = look_over(request.auth.person, upto=body.upto, request=request)
        return 201, RecapShown.of(made)

    return once(request, deed)
