"""What all transitions share: the lock, the guard, and waking a run when its steps are over."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.db import connection

from runs import dispatch
from runs.claims import Held
from runs.errors import ClaimMissed

DOUBT = "a person to say what became of {}: its outcome is in doubt"
ENDED_STEP = ("succeeded", "failed", "denied", "cancelled")


# The functions here take the caller's cursor: they are parts of its transaction.


def wake(cursor: Any, run_id: UUID) -> bool:
    cursor.execute(
        "UPDATE runs_run SET status = 'ready', wake_at = NULL WHERE id = %s AND status = 'waiting'",
        [run_id],
    )
    if cursor.rowcount != 1:
        return False
    dispatch.hint("runs", run_id)
    return True


def wake_if_over(cursor: Any, run_id: UUID) -> None:
    """The caller holds the run's claim row, so the last step to end sees all the others."""
    if not has_unended(cursor, run_id) or is_cancelling(cursor, run_id):
        wake(cursor, run_id)


def has_unended(cursor: Any, run_id: UUID) -> bool:
    cursor.execute(
        "SELECT EXISTS (SELECT FROM runs_step"
        " WHERE run_id = %s AND is_remote AND status <> ALL(%s))",
        [run_id, list(ENDED_STEP)],
    )
    return bool(cursor.fetchone()[0])


def words_of_doubt(cursor: Any, run_id: UUID) -> str:
    """What to say of a run while one of its steps is in doubt; empty when none is."""
    cursor.execute(
        "SELECT name FROM runs_step WHERE run_id = %s AND status = 'in_doubt' LIMIT 1", [run_id]
    )
    row = cursor.fetchone()
    return "" if row is None else DOUBT.format(row[0])


def is_cancelling(cursor: Any, run_id: UUID) -> bool:
    cursor.execute("SELECT cancel_requested_at IS NOT NULL FROM runs_run WHERE id = %s", [run_id])
    return bool(cursor.fetchone()[0])


def lock_run_of(step_id: UUID) -> tuple[UUID, int]:
    """Locks the claim row of a step's run: every writer takes this lock first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT s.run_id, s.position FROM runs_step s JOIN runs_claim c ON c.run_id = s.run_id
            WHERE s.id = %s FOR NO KEY UPDATE OF c
            """,
            [step_id],
        )
        row = cursor.fetchone()
    if row is None:
        raise ClaimMissed(f"There is no step {step_id}.")
    return row[0], row[1]


def let_go(cursor: Any, claim: Held) -> None:
    """Ends the holder's claim; whoever takes the run next gets a higher fence."""
    cursor.execute(
        "UPDATE runs_claim SET holder = '', expires_at = NULL WHERE run_id = %s AND fence = %s",
        [claim.id, claim.fence],
    )


def one(cursor: Any, what: str, id: UUID) -> str:
    """The tenant that a guarded UPDATE returned; `ClaimMissed` when its guard found nothing."""
    row = cursor.fetchone()
    if row is None:
        raise ClaimMissed(f"The {what} {id} is no longer in the state that this needs.")
    return str(row[0])


def as_json(value: dict[str, str] | None) -> str | None:
    return None if value is None else json.dumps(value)
