"""Comments at a gate: the only writer of what people say there without deciding."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals import limits
from approvals.errors import CommentRefused
from approvals.models import Comment, Gate
from approvals.seals import seal as sealed
from approvals.seals import words
from runs import dispatch, journal
from runs.models import Claim, new_id
from runs.written import check_text


def comment(*, gate_id: UUID, tenant: str, person: Any, text: str) -> Comment:
    """Adds what a person says at a gate, also after it closed; a notice follows from it.

    Raises `CommentRefused` with a sentence; then nothing was recorded.
    """
    text = text.replace("\r\n", "\n").strip()
    _check_text(text)
    with transaction.atomic():
        gate = Gate.objects.select_related("step").defer("envelope").get(pk=gate_id, tenant=tenant)
        Claim.objects.select_for_update(no_key=True).get(run_id=gate.run_id)
        if gate.comments.count() >= limits.MAX_COMMENTS:
            raise CommentRefused(
                f"There are {limits.MAX_COMMENTS} comments at this gate already; no more are kept."
            )
        said = _record(gate, person, text)
        seq = journal.append(
            gate.run_id,
            "gate.commented",
            {"gate": str(gate.id), "comment": str(said.id)},
            position=gate.step.position,
            actor=person.get_username(),
        )
        dispatch.show(tenant, "gate", gate.id, seq)
    return said


def _check_text(text: str) -> None:
    if not text:
        raise CommentRefused("A comment needs some words.")
    check_text(text, what="comment", most=limits.MAX_COMMENT_CHARACTERS, refusal=CommentRefused)


def _record(gate: Gate, person: Any, text: str) -> Comment:
    id = new_id()
    return Comment.objects.create(
        id=id,
        tenant=gate.tenant,
        gate=gate,
        person=person,
        text=text,
        seal=seal(id=id, gate_id=gate.id, person_id=person.pk, text=text),
        said_at=timezone.now(),
    )


def seal(*, id: UUID, gate_id: UUID, person_id: int, text: str) -> bytes:
    """The seal of a comment. Raises `DecisionRefused` without the key."""
    return sealed("placet/comment/v1", id, gate_id, person_id, words(text))
