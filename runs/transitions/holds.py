"""Transitions of a held step: cleared, denied, or still held and why."""

from __future__ import annotations

from uuid import UUID

from runs import canonical, dispatch, journal, prepared
from runs.errors import ClaimMissed
from runs.telemetry import current_trace_id
from runs.transitions import rows

# The lock on the run's claim row comes first here as well: what the step is then, is looked at
# in its newest row.
CLEAR = """
    WITH head AS (
        UPDATE runs_claim c SET last_seq = c.last_seq + 1 FROM runs_step s
        WHERE s.id = %(step)s AND c.run_id = s.run_id
        RETURNING c.run_id, c.tenant, c.last_seq, s.position
    ), step AS (
        UPDATE runs_step s SET status = 'ready', clearance_id = %(clearance)s, held_because = ''
        FROM head WHERE s.id = %(step)s AND s.status = 'held' RETURNING s.id
    )
    INSERT INTO runs_event (tenant, run_id, seq, kind, position, actor, body, trace_id)
    SELECT head.tenant, head.run_id, head.last_seq, 'step.cleared', head.position, %(actor)s,
        %(body)s, %(trace)s
    FROM head, step RETURNING tenant, run_id, seq
"""


def clear(step_id: UUID, clearance_id: UUID, *, actor: str) -> None:
    """Held -> ready, on a clearance. Only the gatekeeper's role may, and the database checks.

    A part of the caller's transaction. Raises `ClaimMissed` when the step is not held.
    """
    values = {
        "step": step_id,
        "clearance": clearance_id,
        "actor": actor,
        "body": canonical.encode({"clearance": str(clearance_id)}),
        "trace": current_trace_id.get(),
    }
    with prepared.cursor() as cursor:
        cursor.execute(CLEAR, values)
        row = cursor.fetchone()
    if row is None:
        raise ClaimMissed(f"The step {step_id} is no longer in the state that this needs.")
    # Whoever executes it hears of it before those who only look.
    dispatch.hint("effects", step_id)
    tenant, run_id, seq = row
    dispatch.show(tenant, "run", run_id, seq)


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
