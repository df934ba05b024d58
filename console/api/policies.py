"""The calls about the policy: its versions, and what is wrong with a draft."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from ninja import Router
from pydantic import BaseModel, Field, JsonValue, StringConstraints, model_validator

from approvals.envelope import phrase
from approvals.limits import MAX_POLICY_TEXT
from approvals.models import Policy
from approvals.rules.short import to_yaml
from console import access, rulebook
from console.api.auth import ApiRequest, door
from console.api.gates import hexed
from console.api.idempotency import answer, once
from console.api.shapes import Body, known_parameters

router = Router()
READ = door("policies.view")


class NoParameters(BaseModel):
    pass


class CheckPolicy(Body):
    """Either the document itself or its text; the text as its author wrote it."""

    text: Annotated[str, StringConstraints(max_length=MAX_POLICY_TEXT)] | None = Field(
        default=None, description="YAML or JSON"
    )
    document: dict[str, JsonValue] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> CheckPolicy:
        if (self.text is None) == (self.document is None):
            raise ValueError("Give the text or the document, one of them")
        return self


class PolicySummary(BaseModel):
    number: int
    digest: str = Field(description="In hexadecimal")
    phrase: str = Field(description="The digest in words, to compare by eye")
    published_at: datetime
    retired_at: datetime | None = Field(description="null: it is in force")

    @classmethod
    def fields_of(cls, version: Policy) -> dict[str, Any]:
        return {
            "number": version.number,
            "digest": hexed(version.digest),
            "phrase": phrase(bytes(version.digest)),
            "published_at": version.published_at,
            "retired_at": version.retired_at,
        }

    @classmethod
    def of(cls, version: Policy) -> PolicySummary:
        return cls(**cls.fields_of(version))


class PolicyShown(PolicySummary):
    document: JsonValue = Field(description="In its normal form")
    text: str = Field(description="The same as YAML")

    @classmethod
    def of(cls, version: Policy) -> PolicyShown:
        body = version.body
        return cls(**cls.fields_of(version), document=body, text=to_yaml(body))


class PolicyList(BaseModel):
    items: list[PolicySummary] = Field(description="At most MAX_PAGE_SIZE, the newest first")


class PolicyFault(BaseModel):
    pointer: str = Field(description="A JSON pointer into the document; empty for the whole")
    detail: str


class PolicyChecked(BaseModel):
    faults: list[PolicyFault] = Field(description="Empty: it could be proposed")
    warnings: list[PolicyFault] = Field(description="What keeps nobody from proposing it")
    digest: str = Field(description="Empty where the document cannot be read")
    document: JsonValue = Field(description="In its normal form; null where it has none")


@router.get("/policies", auth=READ, response=PolicyList)
def list_policies(request: ApiRequest) -> HttpResponse:
    """The versions of the policy, the one in force first."""
    known_parameters(request, NoParameters)
    found = rulebook.find_versions(request.auth.person)[: access.MAX_PAGE_SIZE]
    return answer(PolicyList(items=[PolicySummary.of(one) for one in found]))


@router.post("/policies/check", auth=READ, response=PolicyChecked)
def check_policy(request: ApiRequest, body: CheckPolicy) -> HttpResponse:
    """Say what is wrong with a draft, every fault with its place; the policy stays as it is."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        given = body.text if body.text is not None else dict(body.document or {})
        found = rulebook.look_at(request.auth.person.tenant, given)
        checked = PolicyChecked(
            faults=_told(found.faults),
            warnings=_told(found.warnings),
            digest=found.digest,
            document=found.document,
        )
        return 200, checked

    return once(request, deed)


def _told(found: Sequence[tuple[str, str]]) -> list[PolicyFault]:
    return [PolicyFault(pointer=at, detail=said) for at, said in found]


@router.get("/policies/{number}", auth=READ, response=PolicyShown)
def get_policy(request: ApiRequest, number: int) -> HttpResponse:
    """One version with what it says."""
    known_parameters(request, NoParameters)
    return answer(PolicyShown.of(rulebook.access_version(request.auth.person, number)))
