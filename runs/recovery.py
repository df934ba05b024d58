"""Sweeps: they find, from PostgreSQL alone, the work that a lost hint or a dead process left.

Each is one unit of work that says how much it found; the loop around them is in `sweeper`.
"""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import connection

from runs import dispatch, holders, limits, outcomes, transitions
from runs.errors import ClaimMissed
from runs.models import Step

logger = logging.getLogger(__name__)

HINTS = 8
"""Hints that one pass sends; whoever gets one goes on with whatever else is ready."""


def wake_due_runs() -> int:
    """Wakes parked runs whose time has come, as many as the workers will soon get to."""
    return transitions.wake_due()


def hint_lost_runs() -> int:
    """Hints for runs that are ready, or whose holder's claim has ended."""
    return _hint(
        "runs",
        """
        SELECT r.id FROM runs_run r JOIN runs_claim c ON c.run_id = r.id
        WHERE r.status IN ('ready', 'running')
          AND (c.expires_at IS NULL OR c.expires_at <= clock_timestamp()
               OR r.terminate_requested_at IS NOT NULL)
        ORDER BY r.ready_at, r.id LIMIT %s
        """,
    )


def release_runs_of_the_dead() -> int:
    """Ends the claims of workers that this process can see are gone, without waiting for them."""
    return _release(
        "SELECT c.run_id, c.holder FROM runs_run r JOIN runs_claim c ON c.run_id = r.id"
        " WHERE r.status = 'running' AND c.expires_at > clock_timestamp()",
        "UPDATE runs_claim SET expires_at = clock_timestamp() WHERE run_id = %s AND holder = %s",
    )


def release_steps_of_the_dead() -> int:
    """The same for executors."""
    return _release(
        "SELECT c.step_id, c.holder FROM runs_step s JOIN runs_stepclaim c ON c.step_id = s.id"
        " WHERE s.status = 'running' AND s.is_remote AND c.expires_at > clock_timestamp()",
        "UPDATE runs_stepclaim SET expires_at = clock_timestamp()"
        " WHERE step_id = %s AND holder = %s",
    )


def hint_due_steps() -> int:
    """Hints for steps of the executor that are due."""
    return _hint(
        "effects",
        """
        SELECT s.id FROM runs_step s JOIN runs_run r ON r.id = s.run_id
        WHERE s.status = 'ready' AND s.is_remote
          AND (s.not_before IS NULL OR s.not_before <= clock_timestamp())
          AND {may_start}
        ORDER BY s.not_before NULLS FIRST LIMIT %s
        """.replace("{may_start}", transitions.MAY_START),
    )


def recover_lost_steps() -> int:
    """Takes running steps over from executors whose claim has ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT s.id, s.effect, s.deaths
            FROM runs_step s JOIN runs_stepclaim c ON c.step_id = s.id
            WHERE s.status = 'running' AND s.is_remote AND c.expires_at <= clock_timestamp()
            LIMIT %s
            """,
            [limits.SWEEP_BATCH],
        )
        lost = cursor.fetchall()
    return sum(_recover(*row) for row in lost)


def expire_completions() -> int:
    """Settles steps that waited for the outside until their time was over, or without an end
    in a run that is to end: nobody knows what became of them."""
    late = _ids(
        """
        SELECT s.id FROM runs_step s JOIN runs_run r ON r.id = s.run_id
        WHERE s.status = 'waiting' AND s.is_remote AND (s.not_before <= clock_timestamp()
            OR s.not_before IS NULL AND (r.cancel_requested_at IS NOT NULL
                OR r.terminate_requested_at IS NOT NULL OR r.ending IS NOT NULL))
        LIMIT %s
        """
    )
    return sum(_expire(step_id) for step_id in late)


def _expire(step_id: UUID) -> bool:
    step = Step.objects.get(pk=step_id)
    error = {
        "kind": "NotCompleted",
        "message": f"{step.name} was not completed from outside in time.",
    }
    try:
        transitions.end_waiting(step_id, outcomes.not_completed(step, error), is_late=True)
    except ClaimMissed:
        return False
    return True


def _release(find: str, release: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(find)
        dead = [row for row in cursor.fetchall() if holders.is_dead(row[1])]
        for row in dead:
            cursor.execute(release, row)
            logger.warning("The process that held %s is gone; its claim is ended.", row[0])
    return len(dead)


def _recover(step_id: UUID, effect: str, deaths: int) -> bool:
    try:
        transitions.take_over(step_id, outcomes.after_death(effect, deaths))
    except ClaimMissed:
        return False
    logger.warning("The executor of step %s was lost; the step is taken over.", step_id)
    return True


def _hint(queue: dispatch.Queue, query: str) -> int:
    found = _ids(query, HINTS)
    for id in found:
        dispatch.hint(queue, id)
    return len(found)


def _ids(query: str, most: int = limits.SWEEP_BATCH) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(query, [most])
        return [row[0] for row in cursor.fetchall()]
