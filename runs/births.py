"""The birth of a run: its row, its claim and the first event of its journal, whoever starts it."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from runs import dispatch, journal
from runs.models import Run, WorkflowDeclaration


def insert_run(
    *,
    tenant: str,
    declared: WorkflowDeclaration,
    encoded: bytes,
    requested_by_id: Any,
    actor: str,
    said: dict[str, Any],
    **columns: Any,
) -> Run:
    """Adds a run inside the caller's transaction, and hints that it is there.

    `encoded` is its checked input; `said` is what the event says beside workflow, version and
    the input's digest; `columns` are those of where it comes from. The seed is drawn here
    unless it is among them.
    """
    run = Run.objects.create(
        tenant=tenant,
        workflow=declared.name,
        version=declared.version,
        input=encoded,
        requested_by_id=requested_by_id,
        **{"seed": os.urandom(16)} | columns,
    )
    body = {
        "workflow": declared.name,
        "version": declared.version,
        "input": hashlib.sha256(encoded).hexdigest(),
    }
    journal.begin(run, "run.started", body | said, actor=actor)
    dispatch.hint("runs", run.id)
    return run
