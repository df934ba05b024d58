"""The calls about the keys of others: which are fresh, and that two admins vouch for one."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from django.http import HttpResponse
from ninja import Router
from pydantic import BaseModel, Field, StringConstraints

from approvals import limits
from console import keyring
from console.api.auth import ApiRequest, door
from console.api.idempotency import answer, once
from console.api.safeguards import ChangeShown
from console.api.shapes import Body
from console.keyring import Held
from console.safeguards import changing
from runs.clock import database_now

router = Router()
VOUCH = door("changes.decide")


class Vouch(Body):
    reason: Annotated[str, StringConstraints(max_length=limits.MAX_REASON_CHARACTERS)]


class KeyShown(BaseModel):
    id: uuid.UUID
    person: str
    name: str
    kind: Literal["passkey", "file"]
    state: Literal["waiting", "fresh"] = Field(
        description="waiting: signs nothing yet; fresh: not for the high tiers yet"
    )
    enrolled_at: datetime
    seasoned_at: datetime = Field(description="From when it signs for every tier by itself")

    @classmethod
    def of(cls, held: Held) -> KeyShown:
        names = ("id", "name", "kind", "enrolled_at", "seasoned_at")
        told = {name: getattr(held.key, name) for name in names}
        return cls.model_validate(
            told | {"state": held.state, "person": held.key.person.get_username()}
        )


class KeyList(BaseModel):
    items: list[KeyShown] = Field(description="By person, the newest first")


@router.get("/keys", auth=VOUCH, response=KeyList)
def list_fresh_keys(request: ApiRequest) -> HttpResponse:
    """The keys of everybody else that an admin may vouch for."""
    found = keyring.fresh_of_others(request.auth.person, database_now())
    return answer(KeyList(items=[KeyShown.of(one) for one in found]))


@router.post("/keys/{key_id}/vouch", auth=VOUCH, response={201: ChangeShown})
def propose_vouching(request: ApiRequest, key_id: uuid.UUID, body: Vouch) -> HttpResponse:
    """Propose that a fresh key of somebody else counts at once; a second admin must agree."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        person = request.auth.person
        change = changing.propose_vouching(person, key_id, reason=body.reason, request=request)
        shown = changing.access_change(person, change.pk)
        return 201, ChangeShown.to_person(shown, person)

    return once(request, deed)
