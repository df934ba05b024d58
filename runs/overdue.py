"""Runs that took longer than they were given: they end as failed, and say so.

The sweep only asks. A worker carries it out as it does for a person who cancels: what nobody has
begun is cancelled, what is in flight ends first, and what can be undone is undone.
"""

from __future__ import annotations

from django.db import connection

from runs import limits, transitions
from runs.models import Run


def end_overdue_runs() -> int:
    """A sweep: asks for the end of runs whose deadline has passed. Returns of how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, to_char(deadline_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
            FROM runs_run
            WHERE deadline_at <= clock_timestamp() AND finished_at IS NULL
              AND cancel_requested_at IS NULL AND terminate_requested_at IS NULL
              AND ending IS NULL
            ORDER BY deadline_at LIMIT %s
            """,
            [limits.SWEEP_BATCH],
        )
        overdue = cursor.fetchall()
    return sum(transitions.request_end_by_deadline(id, in_words(at)) for id, at in overdue)


def in_words(at: str) -> str:
    """Why a run ends that had until this time."""
    return f"its deadline of {at} UTC has passed"


def ending_of(run: Run) -> tuple[str, dict[str, str] | None]:
    """How a run ends whose end was asked for: failed by its deadline, or cancelled by people."""
    if run.cancel_requested_by != transitions.DEADLINE:
        return "cancelled", None
    because = run.steered_because or "its deadline has passed"
    return "failed", {"kind": "DeadlineExceeded", "message": f"The run has failed: {because}."}
