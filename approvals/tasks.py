"""Celery's side of the gatekeeper, and what its sweep looks for."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from django.db import connection

from approvals import gates, limits

logger = logging.getLogger(__name__)

# Held steps that need a gate, gates whose verdict or time is in, clearances nobody used.
WORK = """
    (SELECT s.id FROM runs_step s LEFT JOIN approvals_gate g ON g.step_id = s.id
     WHERE s.status = 'held' AND s.is_money AND g.id IS NULL
     ORDER BY s.id LIMIT %(most)s)
    UNION
    (SELECT g.step_id FROM approvals_gate g
     WHERE g.status = 'open'
       AND (g.expires_at <= clock_timestamp()
            OR EXISTS (SELECT FROM approvals_decision d WHERE d.gate_id = g.id)
            OR EXISTS (SELECT FROM runs_step s WHERE s.id = g.step_id AND s.status <> 'held'))
     LIMIT %(most)s)
    UNION
    (SELECT c.step_id FROM approvals_clearance c JOIN runs_step s ON s.id = c.step_id
     WHERE s.status = 'ready' AND s.attempt = 0 AND c.expires_at <= clock_timestamp()
     LIMIT %(most)s)
"""


@shared_task(name="approvals.keep", ignore_result=True)
def keep(step_id: str) -> None:
    gates.keep(UUID(step_id))


def sweep_gates() -> int:
    """Does what lost hints left undone; returns how many steps moved on."""
    with connection.cursor() as cursor:
        cursor.execute(WORK, {"most": limits.SWEEP_BATCH})
        found = [row[0] for row in cursor.fetchall()]
    return sum(_keep(step_id) for step_id in found)


def _keep(step_id: UUID) -> bool:
    try:
        return gates.keep(step_id)
    except Exception:
        logger.exception("The gate of step %s could not be handled; it stays as it is.", step_id)
        return False
