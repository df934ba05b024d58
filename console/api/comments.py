"""The call that adds a comment at a gate."""

from __future__ import annotations

import uuid
from typing import Annotated

from django.http import HttpResponse
from ninja import Router
from pydantic import BaseModel, StringConstraints

from approvals.limits import MAX_COMMENT_CHARACTERS
from console.api.auth import ApiRequest, door
from console.api.gates import CommentShown
from console.api.idempotency import once
from console.api.shapes import Body
from console.commenting import comment_at_gate

router = Router()


class Say(Body):
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_COMMENT_CHARACTERS)]


@router.post("/gates/{gate_id}/comments", auth=door("gates.comment"), response={201: CommentShown})
def comment(request: ApiRequest, gate_id: uuid.UUID, body: Say) -> HttpResponse:
    """Say something at a gate. It decides nothing; who decides and who asked are told."""

    def deed(_key: str | None) -> tuple[int, BaseModel]:
        said = comment_at_gate(request.auth.person, gate_id, text=body.text, request=request)
        return 201, CommentShown.of(said)

    return once(request, deed)
