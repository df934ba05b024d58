"""What people say at a gate without deciding: the right, the comment and its audit entry."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.http import HttpRequest

from approvals.comments import comment
from approvals.models import Comment
from console import access, audit
from console.models import User


def comment_at_gate(
    person: User, gate_id: uuid.UUID | str, *, text: str, request: HttpRequest | None = None
) -> Comment:
    """Adds a comment, also of who requested, and after the gate closed. It decides nothing.

    Raises `access.Forbidden`, `access.NotFound` and `approvals.errors.CommentRefused`.
    """
    gate = access.access_gate_by_id(person, gate_id, right="gates.comment")
    with transaction.atomic():
        said = comment(gate_id=gate.id, tenant=person.tenant, person=person, text=text)
        audit.record(
            person=person,
            action="commented",
            subject=f"Gate of {gate.tool}",
            subject_id=gate.id,
            detail={"comment": str(said.id), "run": str(gate.run_id)},
            request=request,
        )
    return said
