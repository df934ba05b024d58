"""Continuing as new: a run ends, and another goes on with an empty journal in its place."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection, transaction

from runs import lifecycle
from runs.births import insert_run
from runs.claims import Held
from runs.models import Run
from runs.points import reach
from runs.transitions import endings


def go_on(claim: Held, run: Run, input: dict[str, Any]) -> UUID:
    """Ends the run and starts its successor with the mail that was not taken, in one
    transaction; returns the successor's id."""
    declared = lifecycle.get_workflow(run.workflow)
    encoded = lifecycle.checked_input(declared, input)
    with transaction.atomic():
        successor = insert_run(
            tenant=run.tenant,
            declared=declared,
            encoded=encoded,
            requested_by_id=run.requested_by_id,
            actor="worker",
            said={"continued_from": str(run.id)},
            continued_from_id=run.id,
            depth=run.depth,
        )
        endings.end_as_continued(claim, successor.id)
        _forward_mail(run.id, successor.id)
    reach("committed:run.continued")
    return UUID(str(successor.id))


def newest(run_id: UUID) -> UUID:
    """The run in which this one goes on; itself when it has not continued as new."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE line AS (
                SELECT id, 0 AS age FROM runs_run WHERE id = %s
                UNION ALL
                SELECT r.id, age + 1 FROM runs_run r JOIN line ON r.continued_from_id = line.id
            )
            SELECT id FROM line ORDER BY age DESC LIMIT 1
            """,
            [run_id],
        )
        row = cursor.fetchone()
    return run_id if row is None else row[0]


def _forward_mail(old: UUID, new: UUID) -> None:
    """Signals that nobody has taken; answers are to questions of the old run, and stay."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO runs_signal (id, tenant, run_id, name, dedup_key, payload, sender, sent_at)
            SELECT gen_random_uuid(), tenant, %s, name, dedup_key, payload, sender, sent_at
            FROM runs_signal WHERE run_id = %s AND taken_at IS NULL AND name NOT LIKE 'answer:%%'
            ORDER BY id
            """,
            [new, old],
        )
