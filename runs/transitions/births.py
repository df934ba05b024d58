"""Runs that a run starts: the child, and the step of the parent that stands for it, together."""

from __future__ import annotations

import hashlib
import os
from uuid import UUID

from django.db import transaction

from runs import dispatch, journal
from runs.claims import Held
from runs.models import Claim, Run, WorkflowDeclaration
from runs.points import reach
from runs.transitions.of_runs import Recording, record_part


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
        child = _insert(
            parent=parent,
            position=recording.position,
            declared=declared,
            encoded=encoded,
            is_detached=is_detached,
        )
    reach("committed:child.started")
    return child, asked


def _insert(
    *,
    parent: Run,
    position: int,
    declared: WorkflowDeclaration,
    encoded: bytes,
    is_detached: bool,
) -> UUID:
    """Adds the child inside the caller's transaction, which holds the parent's claim row."""
    child = Run.objects.create(
        tenant=parent.tenant,
        workflow=declared.name,
        version=declared.version,
        input=encoded,
        requested_by_id=parent.requested_by_id,
        seed=os.urandom(16),
        parent=parent,
        parent_position=position,
        depth=parent.depth + 1,
        is_detached=is_detached,
    )
    Claim.objects.create(run=child, tenant=parent.tenant)
    body = {
        "workflow": declared.name,
        "version": declared.version,
        "input": hashlib.sha256(encoded).hexdigest(),
        "parent": str(parent.id),
    }
    journal.append(child.id, "run.started", body, actor="worker")
    dispatch.hint("runs", child.id)
    return child.id
