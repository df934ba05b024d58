"""What all transitions share: the lock, the guard, and waking a run when its steps are over."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from psycopg.errors import NotNullViolation

from runs import dispatch, positions, prepared
from runs.claims import Held
from runs.errors import ClaimMissed, Fenced

# Whether a step that a run waits for is worth a look: it has ended, its time has come, there is
# mail for it, a person has said how it goes on, or the run that it started has ended.
IS_OVER = """
    (s.status IN ('succeeded', 'failed', 'denied', 'cancelled')
     OR (NOT s.is_remote AND s.status IN ('ready', 'waiting')
         AND s.not_before <= clock_timestamp())
     OR (NOT s.is_remote AND s.status = 'paused' AND EXISTS (
         SELECT FROM runs_settlement t WHERE t.step_id = s.id AND t.attempt = s.attempt))
     OR (s.status = 'waiting' AND s.kind IN ('signal', 'ask') AND EXISTS (
         SELECT FROM runs_signal g WHERE g.run_id = s.run_id AND g.taken_at IS NULL
           AND g.name = CASE s.kind WHEN 'ask' THEN 'answer:' || s.position ELSE s.name END))
     OR (s.status = 'waiting' AND s.kind = 'child' AND EXISTS (
         WITH RECURSIVE line AS (
             SELECT c.id, c.finished_at FROM runs_run c WHERE c.tenant = s.tenant
                 AND c.parent_id = s.run_id AND c.parent_position = s.position
             UNION ALL
             SELECT n.id, n.finished_at FROM runs_run n JOIN line ON n.continued_from_id = line.id)
         SELECT FROM line WHERE finished_at IS NOT NULL AND NOT EXISTS (
             SELECT FROM runs_run n WHERE n.continued_from_id = line.id))))
"""
WAIT_IS_OVER = f"""
    CASE WHEN r.awaited IS NULL THEN NOT EXISTS (
             SELECT FROM runs_step s WHERE s.run_id = r.id AND s.is_remote
               AND s.status IN ('held', 'ready', 'running', 'waiting', 'in_doubt', 'paused'))
         WHEN r.awaits_any THEN EXISTS (
             SELECT FROM runs_step s WHERE s.run_id = r.id AND s.tenant = r.tenant
               AND s.position = ANY(r.awaited) AND {IS_OVER})
         ELSE NOT EXISTS (
             SELECT FROM runs_step s WHERE s.run_id = r.id
               AND s.status IN ('held', 'ready', 'running', 'waiting', 'in_doubt', 'paused')
               AND s.position = ANY(r.awaited) AND NOT coalesce({IS_OVER}, false)) END
"""
DOUBT = "a person to say what became of {}: its outcome is in doubt"
PAUSED = "a person to say how {} goes on: its attempts are spent"
POISON = "a person to look at {}: process after process was lost in it"
OUTSIDE = "the outside to complete {}"
ENDED_STEP = ("succeeded", "failed", "denied", "cancelled")

# What people have asked of the run `r`, the strongest first.
ASKED = """
    CASE WHEN r.terminate_requested_at IS NOT NULL THEN 'terminate'
         WHEN r.pause_requested_at IS NOT NULL THEN 'pause'
         WHEN r.cancel_requested_at IS NOT NULL THEN 'cancel' ELSE '' END
"""
# Whether the run `r` is to end, or has: nothing of it is begun but what undoes it.
ENDS = """
    (r.cancel_requested_at IS NOT NULL OR r.terminate_requested_at IS NOT NULL
     OR r.ending IS NOT NULL OR r.finished_at IS NOT NULL)
"""
# Whether an executor may start the step `s` of the run `r`. What was attempted before goes on,
# also after the run has ended: whether it had its effect is not known yet.
MAY_START = f"""
    ((r.status IN ('ready', 'running', 'waiting') AND r.pause_requested_at IS NULL
      OR r.finished_at IS NOT NULL)
     AND (s.attempt > 0
          OR r.finished_at IS NULL AND r.terminate_requested_at IS NULL
             AND (r.cancel_requested_at IS NULL OR s.position >= {positions.UNDO})))
"""


# The functions here take the caller's cursor: they are parts of its transaction.


def wake(cursor: Any, run_id: UUID, *, only_if: str = "true") -> bool:
    cursor.execute(
        "UPDATE runs_run r SET status = 'ready', wake_at = NULL"
        f" WHERE r.id = %s AND r.status = 'waiting' AND {only_if}",
        [run_id],
    )
    if cursor.rowcount != 1:
        return False
    dispatch.hint("runs", run_id)
    return True


def wake_if_over(cursor: Any, run_id: UUID) -> None:
    """Wakes a run when what it waits for has come, or it is to end. The caller holds the run's
    claim row, so the last step to end sees all the others."""
    wake(cursor, run_id, only_if=f"({ENDS} OR {WAIT_IS_OVER})")


def is_over(cursor: Any, run_id: UUID) -> bool:
    """Whether the wait of a run is over: for all that it names, or for the first of them."""
    cursor.execute(f"SELECT {WAIT_IS_OVER} FROM runs_run r WHERE r.id = %s", [run_id])
    return bool(cursor.fetchone()[0])


def words_of_doubt(cursor: Any, run_id: UUID) -> str:
    """What to say of a run while people, or the outside, must say what became of one of its
    steps; empty when none is such a step."""
    cursor.execute(
        """
        SELECT name, status, error->>'kind' = 'Poison' FROM runs_step
        WHERE run_id = %s AND (status IN ('in_doubt', 'paused') OR status = 'waiting' AND is_remote)
        ORDER BY status = 'waiting', status, position LIMIT 1
        """,
        [run_id],
    )
    row = cursor.fetchone()
    if row is None:
        return ""
    name, status, is_poison = row
    words = {"in_doubt": DOUBT, "paused": PAUSED, "waiting": OUTSIDE}[status]
    return (POISON if is_poison else words).format(name)


def say_what_for(cursor: Any, run_id: UUID, otherwise: str = "") -> None:
    """Says in words what a run waits for now, and since when, where that has changed."""
    words = (words_of_doubt(cursor, run_id) or otherwise)[:255]
    cursor.execute(
        "UPDATE runs_run SET waiting_for = %s, waiting_since = clock_timestamp()"
        " WHERE id = %s AND status = 'waiting' AND waiting_for <> %s AND %s <> ''",
        [words, run_id, words, words],
    )


def asked(cursor: Any, run_id: UUID) -> str:
    """What people have asked of a run: `terminate`, `pause`, `cancel`, or nothing."""
    cursor.execute(f"SELECT {ASKED} FROM runs_run r WHERE r.id = %s", [run_id])
    return str(cursor.fetchone()[0])


def is_cancelling(cursor: Any, run_id: UUID) -> bool:
    """Whether a run is to end or has, so that nothing of it is begun but what undoes it."""
    cursor.execute(f"SELECT {ENDS} FROM runs_run r WHERE r.id = %s", [run_id])
    return bool(cursor.fetchone()[0])


def lock_run_of(step_id: UUID) -> tuple[UUID, int]:
    """Locks the claim row of a step's run: every writer takes this lock first."""
    with prepared.cursor() as cursor:
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


def lock(cursor: Any, claim: Held) -> None:
    """Locks the run's claim row for its holder; raises `Fenced` for anybody else."""
    cursor.execute(
        "SELECT run_id FROM runs_claim WHERE run_id = %s AND fence = %s"
        " AND expires_at > clock_timestamp() FOR NO KEY UPDATE",
        [claim.id, claim.fence],
    )
    if cursor.fetchone() is None:
        raise Fenced(f"The claim on run {claim.id} with fence {claim.fence} is lost.")


def let_go(cursor: Any, claim: Held) -> None:
    """Ends the holder's claim; whoever takes the run next gets a higher fence."""
    cursor.execute(
        "UPDATE runs_claim SET holder = '', expires_at = NULL WHERE run_id = %s AND fence = %s",
        [claim.id, claim.fence],
    )


def one(cursor: Any, what: str, id: UUID) -> Any:
    """What a guarded UPDATE returned, such as the tenant; `ClaimMissed` when its guard found
    nothing."""
    row = cursor.fetchone()
    if row is None:
        raise missed(what, id)
    return row[0]


def missed(what: str, id: UUID | str) -> ClaimMissed:
    return ClaimMissed(f"The {what} {id} is no longer in the state that this needs.")


def has_no_body(refused: IntegrityError) -> bool:
    """Whether a statement was refused because it gave its event no body, as it does where what it
    writes beside the event is not what it has to be."""
    cause = refused.__cause__
    if not isinstance(cause, NotNullViolation):
        return False
    return (cause.diag.table_name, cause.diag.column_name) == ("runs_event", "body")


def as_json(value: dict[str, str] | None) -> str | None:
    return None if value is None else json.dumps(value)
