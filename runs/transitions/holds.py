"""Transitions of a held step: cleared, denied, or still held and why."""

from __future__ import annotations

from uuid import UUID

from runs import dispatch, journal, prepared
from runs.transitions import rows


def clear(step_id: UUID, clearance_id: UUID, *, actor: str) -> None:
    """Held -> ready, on a clearance. Only the gatekeeper's role may, and the database checks."""
    run_id, position = rows.lock_run_of(step_id)
    journal.append(
        run_id,
        "step.cleared",
        {"clearance": str(clearance_id)},
        position=position,
        actor=actor,
    )
    with prepared.cursor() as cursor:
        cursor.execute(
            """
            UPDATE runs_step SET status = 'ready', clearance_id = %s, held_because = ''
            WHERE id = %s AND status = 'held' RETURNING tenant
            """,
            [clearance_id, step_id],
        )
        rows.one(cursor, "step", step_id)
    dispatch.hint("effects", step_id)


def deny(step_id: UUID, error: dict[str, str], *, actor: str) -> None:
    """Held (or cleared and never started) -> denied; wakes the run when it waited for this."""
    run_id, position = rows.lock_run_of(step_id)
    journal.append(run_id, "step.denied", error, position=position, actor=actor)
    with prepared.cursor() as cursor:
        cursor.execute(
            """
            UPDATE runs_step SET status = 'denied', error = %s, held_because = '',
                finished_at = clock_timestamp()
            WHERE id = %s AND (status = 'held' OR (status = 'ready' AND attempt = 0))
            RETURNING tenant
            """,
            [rows.as_json(error), step_id],
        )
        rows.one(cursor, "step", step_id)
        rows.wake_if_over(cursor, run_id)


def explain_hold(step_id: UUID, because: str) -> None:
    """Says in words why a step is still held; not an event, it may change back and forth."""
    with prepared.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_step SET held_because = %s"
            " WHERE id = %s AND status = 'held' AND held_because <> %s",
            [because[:255], step_id, because[:255]],
        )
