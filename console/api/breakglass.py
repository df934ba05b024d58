"""The calls about breaking the glass: by two people, each with a key of theirs."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from django.http import HttpResponse
from ninja import Router
from pydantic import BaseModel, Field, StringConstraints

from approvals import breakglass, limits
from approvals.models import BreakGlass
from console.access import MAX_PAGE_SIZE
from console.api.auth import ApiRequest, door
from console.api.idempotency import answer, once
from console.api.shapes import Body
from console.api.signatures import SignedBody
from console.safeguards import breaking

router = Router()
READ, BREAK, REVIEW = door("safeguards.view"), door("breakglass.open"), door("breakglass.review")

Words = Annotated[str, StringConstraints(max_length=limits.MAX_REASON_CHARACTERS)]
Subject = Annotated[str, StringConstraints(max_length=limits.MAX_FROZEN_CHARACTERS)]
Scope = Literal["everything", "tool", "workflow"]


class OpenGlass(Body):
    """`signed` is over SHA-256 of `placet/breakglass/v2`, a NUL, and the statement: see the page
    of the API."""

    id: Annotated[uuid.UUID, Field(strict=False)] = Field(
        description="A UUID of version 7, made a moment ago; it is signed too"
    )
    scope: Scope
    subject: Subject = Field(default="", description="The tool or workflow")
    minutes: Annotated[int, Field(ge=1, le=limits.BREAKGLASS_MINUTES)]
    reason: Words
    signed: SignedBody


class ConfirmGlass(Body):
    signed: SignedBody = Field(description="Over the same statement with your id and `first`")


class ReviewGlass(Body):
    found: Words


class GlassShown(BaseModel):
    id: uuid.UUID
    scope: Scope
    subject: str
    minutes: int
    reason: str
    opened_by: str
    opened_by_id: int = Field(description="`person` of the first statement")
    opened_at: datetime
    confirmed_by: str | None
    until: datetime | None = Field(description="From the confirmation; null before")
    is_verified: bool = Field(description="The gatekeeper has found that both keys signed")
    because: str = Field(description="Why it was not broken, where the gatekeeper found that")
    found: str | None = Field(description="What the review found; null without one")

    @classmethod
    def of(cls, glass: BreakGlass) -> GlassShown:
        names = ("id", "scope", "subject", "minutes", "reason", "opened_at", "opened_by_id")
        second, review = getattr(glass, "confirmation", None), getattr(glass, "review", None)
        told = {name: getattr(glass, name) for name in names} | {
            "opened_by": glass.opened_by.get_username(),
            "confirmed_by": second and second.person.get_username(),
            "until": second and second.until,
            "is_verified": breakglass.is_proven(glass),
            "because": glass.proof.because if hasattr(glass, "proof") else "",
            "found": review and review.found,
        }
        return cls.model_validate(told)


class GlassList(BaseModel):
    items: list[GlassShown] = Field(description="The newest first, MAX_PAGE_SIZE at most")
    you: int = Field(description="`person` of the statement that you sign")
    tenant: str = Field(description="`tenant` of that statement")


def _shown(request: ApiRequest, id: uuid.UUID) -> GlassShown:
    return GlassShown.of(breaking.access_glass(request.auth.person, id))


@router.get("/breakglass", auth=READ, response=GlassList)
def list_glasses(request: ApiRequest) -> HttpResponse:
    """Who broke the glass or asks to, and what its review found."""
    person = request.auth.person
    found = [GlassShown.of(one) for one in breaking.find_glasses(person)[:MAX_PAGE_SIZE]]
    return answer(GlassList(items=found, you=person.pk, tenant=person.tenant))


@router.post("/breakglass", auth=BREAK, response={201: GlassShown})
def open_glass(request: ApiRequest, body: OpenGlass) -> HttpResponse:
    """Ask to break the glass; it stays whole until a second human confirms it."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        glass = breaking.open_glass(
            request.auth.person,
            id=body.id,
            scope=body.scope,
            subject=body.subject,
            minutes=body.minutes,
            reason=body.reason,
            signed=body.signed.signed(),
            request=request,
        )
        return 201, _shown(request, glass.pk)

    return once(request, deed)


@router.post("/breakglass/{glass_id}/confirm", auth=BREAK, response={201: GlassShown})
def confirm_glass(request: ApiRequest, glass_id: uuid.UUID, body: ConfirmGlass) -> HttpResponse:
    """Confirm it as the second human; it is broken once the gatekeeper has verified both keys."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        breaking.confirm_glass(
            request.auth.person, glass_id, signed=body.signed.signed(), request=request
        )
        return 201, _shown(request, glass_id)

    return once(request, deed)


@router.post("/breakglass/{glass_id}/review", auth=REVIEW, response={201: GlassShown})
def review_glass(request: ApiRequest, glass_id: uuid.UUID, body: ReviewGlass) -> HttpResponse:
    """Say what you found afterwards; until somebody has, nobody breaks it again."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        breaking.review_glass(request.auth.person, glass_id, found=body.found, request=request)
        return 201, _shown(request, glass_id)

    return once(request, deed)
