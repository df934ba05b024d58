"""The calls about safeguards: what is frozen, and what takes two admins."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from approvals import limits
from approvals.changes import body_of, why_not
from approvals.envelope import phrase
from approvals.models import Change, ChangeVoice, Freeze
from console import access
from console.access import MAX_PAGE_SIZE
from console.api.auth import ApiRequest, door
from console.api.idempotency import answer, once
from console.api.shapes import Body, known_parameters
from console.models import User
from console.pages.changewords import effects_of, title_of
from console.safeguards import changing, freezing

router = Router()
READ, FREEZE, DECIDE = door("safeguards.view"), door("freezes.make"), door("changes.decide")

Reason = Annotated[str, StringConstraints(max_length=limits.MAX_REASON_CHARACTERS)]
Subject = Annotated[str, StringConstraints(max_length=limits.MAX_FROZEN_CHARACTERS)]
Group = Annotated[str, StringConstraints(max_length=limits.MAX_GROUP_CHARACTERS)]
Username = Annotated[str, StringConstraints(max_length=150)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Scope = Literal["everything", "tool", "workflow", "payee"]
ChangeState = Literal["open", "applied", "refused", "expired", "withdrawn"]


class MakeFreeze(Body):
    scope: Scope
    subject: Subject = Field(default="", description="The tool, workflow or payee")
    reason: Reason


class ProposeThaw(Body):
    reason: Reason


class ProposeMember(Body):
    kind: Literal["add_reviewer", "remove_reviewer"]
    group: Group
    username: Username
    reason: Reason


class Say(Body):
    verdict: Literal["approve", "refuse"]
    digest: Digest = Field(description="The digest of the change as it was shown, in hexadecimal")
    reason: Reason = ""


class ChangeFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: ChangeState | None = None


class FreezeFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    active: bool = Field(default=True, description="false: those that were lifted")


class FreezeShown(BaseModel):
    id: uuid.UUID
    scope: Scope
    subject: str
    reason: str
    by: str | None = Field(description="null: a threshold of the policy")
    at: datetime
    lifted_at: datetime | None
    lifted_by: uuid.UUID | None = Field(description="The change that lifted it")

    @classmethod
    def of(cls, freeze: Freeze) -> FreezeShown:
        names = ("id", "scope", "subject", "reason", "at", "lifted_at")
        by = freeze.by.get_username() if freeze.by else None
        columns = {name: getattr(freeze, name) for name in names}
        return cls(**columns, by=by, lifted_by=freeze.lifted_by_id)


class FreezeList(BaseModel):
    items: list[FreezeShown] = Field(description="The newest first, MAX_PAGE_SIZE at most")


class VoiceShown(BaseModel):
    person: str
    verdict: Literal["approve", "refuse"]
    reason: str
    at: datetime

    @classmethod
    def of(cls, voice: ChangeVoice) -> VoiceShown:
        names = ("verdict", "reason", "at")
        columns = {name: getattr(voice, name) for name in names}
        return cls(**columns, person=voice.person.get_username())


class ChangeSummary(BaseModel):
    id: uuid.UUID
    kind: str
    title: str
    state: ChangeState
    proposed_by: str
    reason: str
    proposed_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    error: str = Field(description="Why it was not carried out")

    @classmethod
    def of(cls, change: Change) -> ChangeSummary:
        return cls.model_validate(cls.columns(change))

    @staticmethod
    def columns(change: Change) -> dict[str, object]:
        names = ("id", "kind", "reason", "proposed_at", "expires_at", "closed_at", "error")
        return {name: getattr(change, name) for name in names} | {
            "title": title_of(change.kind, body_of(change)),
            "state": change.status,
            "proposed_by": change.proposed_by.get_username(),
        }


class ChangeShown(ChangeSummary):
    body: JsonValue
    effects: list[str]
    digest: str
    phrase: str
    voices: list[VoiceShown]
    why_not: str = Field(description="Why you may not agree to it; empty when you may")

    @classmethod
    def to_person(cls, change: Change, person: User) -> ChangeShown:
        body, digest = body_of(change), bytes(change.digest)
        voices = sorted(change.voices.all(), key=lambda voice: voice.at)
        told = {
            "body": body,
            "effects": effects_of(change, body),
            "digest": digest.hex(),
            "phrase": phrase(digest),
            "voices": [VoiceShown.of(voice) for voice in voices],
            "why_not": why_not(change, person),
        }
        return cls.model_validate(cls.columns(change) | told)


class ChangeList(BaseModel):
    items: list[ChangeSummary] = Field(description="The newest first, MAX_PAGE_SIZE at most")


def _shown(request: ApiRequest, id: uuid.UUID) -> ChangeShown:
    person = request.auth.person
    return ChangeShown.to_person(changing.access_change(person, id), person)


@router.get("/freezes", auth=READ, response=FreezeList)
def list_freezes(request: ApiRequest, query: Query[FreezeFilter]) -> HttpResponse:
    """What is frozen now; with `active=false` what was."""
    known_parameters(request, FreezeFilter)
    found = freezing.find_freezes(request.auth.person).filter(lifted_at__isnull=query.active)
    return answer(FreezeList(items=[FreezeShown.of(one) for one in found[:MAX_PAGE_SIZE]]))


@router.post("/freezes", auth=FREEZE, response={201: FreezeShown})
def make_freeze(request: ApiRequest, body: MakeFreeze) -> HttpResponse:
    """Freeze at once; what is frozen so already stays frozen once."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        made = freezing.freeze(
            request.auth.person,
            scope=body.scope,
            subject=body.subject,
            reason=body.reason,
            request=request,
        )
        return 201, FreezeShown.of(made)

    return once(request, deed)


@router.post("/freezes/{freeze_id}/thaw", auth=FREEZE, response={201: ChangeShown})
def propose_thaw(request: ApiRequest, freeze_id: uuid.UUID, body: ProposeThaw) -> HttpResponse:
    """Propose the change that lifts a freeze; two admins must agree."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        change = freezing.propose_thaw(
            request.auth.person, freeze_id, reason=body.reason, request=request
        )
        return 201, _shown(request, change.pk)

    return once(request, deed)


@router.get("/changes", auth=READ, response=ChangeList)
def list_changes(request: ApiRequest, query: Query[ChangeFilter]) -> HttpResponse:
    """What takes two admins, open and decided."""
    known_parameters(request, ChangeFilter)
    found = changing.find_changes(request.auth.person)
    if query.state:
        found = found.filter(status=query.state)
    return answer(ChangeList(items=[ChangeSummary.of(one) for one in found[:MAX_PAGE_SIZE]]))


@router.post("/changes", auth=DECIDE, response={201: ChangeShown})
def propose_member(request: ApiRequest, body: ProposeMember) -> HttpResponse:
    """Propose that somebody joins or leaves a group of reviewers."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        person = request.auth.person
        people = User.objects.filter(tenant=person.tenant, username=body.username)
        member = people.first()
        if member is None:
            raise access.NotFound("There is no such person.")
        change = changing.propose_member(
            person,
            kind=body.kind,
            group=body.group,
            member=member,
            reason=body.reason,
            request=request,
        )
        return 201, _shown(request, change.pk)

    return once(request, deed)


@router.get("/changes/{change_id}", auth=READ, response=ChangeShown)
def get_change(request: ApiRequest, change_id: uuid.UUID) -> HttpResponse:
    """One change: what exactly it does, who said what, and whether you may agree."""
    return answer(_shown(request, change_id))


@router.post("/changes/{change_id}/voices", auth=DECIDE, response={201: ChangeShown})
def say_of_change(request: ApiRequest, change_id: uuid.UUID, body: Say) -> HttpResponse:
    """Agree or refuse, over exactly the digest that you were shown."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        changing.say(
            request.auth.person,
            change_id,
            verdict=body.verdict,
            reason=body.reason,
            digest=body.digest,
            request=request,
        )
        return 201, _shown(request, change_id)

    return once(request, deed)
