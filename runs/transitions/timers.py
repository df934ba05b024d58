"""Transitions by the clock: runs whose wait is over by time, and runs that took too long."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from runs import dispatch, journal, limits, prepared
from runs.points import reach

HINTS = 8
"""Hints for one batch of woken runs; whoever gets one goes on with whatever else is ready."""

DEADLINE = "the deadline"
"""Who asked for the end of a run whose time is over; nobody can have this for a username."""

# Rows that another sweep is waking are left to it. Those that are ready already are counted
# in the order of their line, and no further than to the limit.
WAKE_DUE = """
    WITH due AS (
        SELECT id FROM runs_run WHERE status = 'waiting' AND wake_at <= clock_timestamp()
        ORDER BY wake_at
        LIMIT least(%(most)s, greatest(0, %(ahead)s - (
            SELECT count(*) FROM (
                SELECT FROM runs_run WHERE status = 'ready' LIMIT %(ahead)s) AS line)))
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE runs_run r SET status = 'ready', wake_at = NULL
    FROM due WHERE r.id = due.id AND r.status = 'waiting'
    RETURNING r.id
"""
# A person who has asked for the end already is not contradicted.
REQUEST_END = """
    UPDATE runs_run SET cancel_requested_at = clock_timestamp(), cancel_requested_by = %s,
        steered_because = %s, pause_requested_at = NULL,
        status = CASE WHEN status IN ('waiting', 'paused', 'quarantined') THEN 'ready'
                 ELSE status END
    WHERE id = %s AND finished_at IS NULL AND deadline_at <= clock_timestamp()
      AND cancel_requested_at IS NULL AND terminate_requested_at IS NULL AND ending IS NULL
    RETURNING tenant
"""


def wake_due() -> int:
    """Waiting -> ready, for those whose time came first; returns how many.

    No more than `limits.READY_AHEAD` are made ready ahead of the workers, so that a run that
    becomes ready now does not wait until ten thousand timers have been worked off.
    """
    with transaction.atomic(), prepared.cursor() as cursor:
        cursor.execute(WAKE_DUE, {"most": limits.READY_AHEAD, "ahead": limits.READY_AHEAD})
        woken: list[UUID] = [row[0] for row in cursor.fetchall()]
        for run_id in woken[:HINTS]:
            dispatch.hint("runs", run_id)
    if woken:
        reach("committed:runs.woken")
    return len(woken)


def request_end_by_deadline(run_id: UUID, because: str) -> bool:
    """Asks for the end of a run whose deadline has passed; False when there is nothing to ask."""
    with transaction.atomic(), prepared.cursor() as cursor:
        cursor.execute("SELECT FROM runs_claim WHERE run_id = %s FOR NO KEY UPDATE", [run_id])
        cursor.execute(REQUEST_END, [DEADLINE, because, run_id])
        if cursor.fetchone() is None:
            return False
        journal.append(run_id, "run.deadline_passed", {"reason": because}, actor="engine")
        dispatch.hint("runs", run_id)
    reach("committed:run.deadline_passed")
    return True
