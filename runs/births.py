"""The birth of a run: its row, its claim and the first event of its journal, whoever starts it."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from typing import Any

from django.db import connection
from django.db.models.expressions import DatabaseDefault

from runs import canonical, dispatch, prepared
from runs.journal import RUN
from runs.models import Run, WorkflowDeclaration
from runs.telemetry import current_trace_id

# All three in one statement. The row of the claim begins with the first event of its run.
BIRTH = """
    WITH born AS (
        INSERT INTO runs_run ({columns}) VALUES ({values}) RETURNING *
    ), head AS (
        INSERT INTO runs_claim (run_id, tenant, fence, holder, last_seq)
        SELECT id, tenant, 0, '', 1 FROM born RETURNING run_id, tenant, last_seq
    ), event AS (
        INSERT INTO runs_event (tenant, run_id, seq, kind, actor, body, trace_id)
        SELECT tenant, run_id, last_seq, 'run.started', %(event_actor)s, %(event_body)s,
            %(event_trace)s
        FROM head
    )
    SELECT {all} FROM born
"""


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
    asked = Run(
        tenant=tenant,
        workflow=declared.name,
        version=declared.version,
        input=encoded,
        requested_by_id=requested_by_id,
        **{"seed": os.urandom(16)} | columns,
    )
    values = _values(asked)
    body = {
        "workflow": declared.name,
        "version": declared.version,
        "input": hashlib.sha256(encoded).hexdigest(),
    }
    event = {
        "event_actor": actor,
        "event_body": canonical.encode(body | said),
        "event_trace": current_trace_id.get(),
    }
    with prepared.cursor() as cursor:
        cursor.execute(_birth(tuple(values)), values | event)
        run: Run = RUN.row(cursor.fetchone())
    dispatch.show(tenant, "run", run.id, 1)
    dispatch.hint("runs", run.id)
    return run


def _values(asked: Run) -> dict[str, Any]:
    """The columns of a run that the database does not fill by itself."""
    fields = asked._meta.concrete_fields
    given = {field: getattr(asked, field.attname) for field in fields}
    return {
        field.attname: field.get_db_prep_save(value, connection)
        for field, value in given.items()
        if not isinstance(value, DatabaseDefault)
    }


@cache
def _birth(columns: tuple[str, ...]) -> str:
    """The statement for a run of these columns; there are as many as ways to start a run."""
    return BIRTH.format(
        columns=", ".join(f'"{name}"' for name in columns),
        values=", ".join(f"%({name})s" for name in columns),
        all=RUN.of("born"),
    )
