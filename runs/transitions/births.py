"""Runs that a run starts: the child, and the step of the parent that stands for it, together."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from runs.births import insert_run
from runs.claims import Held
from runs.models import Run, WorkflowDeclaration
from runs.points import reach
from runs.transitions.recording import Recording, record_part


def start_child(
    claim: Held,
    recording: Recording,
    *,
    parent: Run,
    declared: WorkflowDeclaration,
    encoded: bytes,
    is_detached: bool,
) -> tuple[UUID, str]:
    """Commits a child run and the step that stands for it; returns its id, and what
    people have asked of the parent."""
    with transaction.atomic():
        asked = record_part(claim, recording)
        child = insert_run(
            tenant=parent.tenant,
            declared=declared,
            encoded=encoded,
            requested_by_id=parent.requested_by_id,
            actor="worker",
            said={"parent": str(parent.id)},
            parent=parent,
            parent_position=recording.position,
            depth=parent.depth + 1,
            is_detached=is_detached,
        )
    reach("committed:child.started")
    return child.id, asked
