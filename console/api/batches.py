"""The call that decides several requests at once, and the one that tells of it."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Router
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from approvals.envelope import phrase
from approvals.limits import MAX_BATCH, MAX_REASON_CHARACTERS
from approvals.models import Batch
from console.api.auth import ApiRequest, door
from console.api.gates import CanaryShown, DecisionShown, hexed
from console.api.idempotency import HEADER, answer, once_by_itself
from console.api.refusals import problem_of
from console.api.shapes import Body
from console.batching import Item, Row, access_batch, decide_together, find_rows
from console.models import User

router = Router()
_KEYS = uuid.UUID("5b2f7a4e-6f0a-4a53-9c0b-6d1f0f2f9a11")
"""The name space of batches that an `Idempotency-Key` names."""


class BatchItem(BaseModel):
    """One request, and the digest of it that was shown to the person."""

    model_config = ConfigDict(extra="forbid")

    gate: uuid.UUID
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class DecideMany(Body):
    requests: list[BatchItem] = Field(
        description=f"All of the tier `confirm`, and at most {MAX_BATCH}"
    )
    verdict: Literal["approve", "deny"]
    reason: Annotated[str, StringConstraints(max_length=MAX_REASON_CHARACTERS)] = ""


class BatchResult(BaseModel):
    """What became of one request of the list."""

    gate_id: uuid.UUID
    decision: DecisionShown | None = Field(
        description="What stands: the batch's, or an earlier one of the same person"
    )
    problem: str = Field(description="Why none was recorded, as the word of a refusal; else empty")
    detail: str = Field(description="The same in a sentence")
    canary: CanaryShown | None = Field(description="null: it was no test, or you are not told yet")

    @classmethod
    def of(cls, row: Row, person: User) -> BatchResult:
        refused = problem_of(row.refusal) if row.refusal else None
        return cls(
            gate_id=row.gate.pk,
            decision=DecisionShown.of(row.decision) if row.decision else None,
            problem=refused.kind if refused else "",
            detail=refused.detail if refused else "",
            canary=CanaryShown.to_person(row.gate, person),
        )


class BatchShown(BaseModel):
    id: uuid.UUID
    person: str
    verdict: Literal["approve", "deny"]
    reason: str
    digest: str = Field(description="Of the list, in hexadecimal: what was sealed")
    phrase: str = Field(description="The same in words, to compare by eye")
    made_at: datetime
    results: list[BatchResult]

    @classmethod
    def of(cls, batch: Batch, rows: list[Row], person: User) -> BatchShown:
        return cls(
            id=batch.pk,
            person=batch.person.get_username(),
            verdict=batch.verdict,  # type: ignore[arg-type]  # a check constraint keeps it
            reason=batch.reason,
            digest=hexed(batch.digest),
            phrase=phrase(bytes(batch.digest)),
            made_at=batch.made_at,
            results=[BatchResult.of(row, person) for row in rows],
        )


def decide_many(request: ApiRequest, body: DecideMany) -> HttpResponse:
    """Approve or deny several requests of the lowest tier with one confirmation.

    Refused as a whole before anything is recorded; then each is decided by itself, and told of.
    """

    def deed() -> tuple[int, BaseModel]:
        said = decide_together(
            request.auth.person,
            id=_id_of(request, body),
            items=[Item(gate_id=one.gate, digest=one.digest) for one in body.requests],
            verdict=body.verdict,
            reason=body.reason,
            request=request,
        )
        return 201, BatchShown.of(said.batch, list(said.rows), request.auth.person)

    return once_by_itself(request, deed)


@router.get("/batches/{batch_id}", auth=door("gates.view"), response=BatchShown)
def get_batch(request: ApiRequest, batch_id: uuid.UUID) -> HttpResponse:
    """One confirmation over several requests, and what its person decided at each by now."""
    person = request.auth.person
    batch = access_batch(person, batch_id)
    return answer(BatchShown.of(batch, find_rows(person, batch), person))


def _id_of(request: ApiRequest, body: DecideMany) -> uuid.UUID:
    """The same for the same call under the same key, so that a call that broke off in the middle
    goes on when it is repeated."""
    key = request.headers.get(HEADER)
    if key is None:
        return uuid.uuid4()
    person = request.auth.person
    told: list[Any] = [person.tenant, person.pk, key, body.model_dump(mode="json")]
    return uuid.uuid5(_KEYS, json.dumps(told, sort_keys=True))
