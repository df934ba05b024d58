"""Celery's side of the gatekeeper, and what its sweeps look for."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from celery import shared_task
from django.db import connection

from approvals import gates, glasskeys, limits, notices, registry
from approvals.sweeping import handled
from runs import dispatch, transitions

logger = logging.getLogger(__name__)

# What is due: held steps that nobody has looked at, and gates whose time is over.
DUE = """
    (SELECT id FROM runs_step WHERE status = 'held' AND held_because = ''
     ORDER BY id LIMIT %(most)s)
    UNION ALL
    (SELECT step_id FROM approvals_gate
     WHERE status = 'open' AND expires_at <= clock_timestamp()
     ORDER BY expires_at LIMIT %(most)s)
    UNION ALL
    (SELECT step_id FROM approvals_gate
     WHERE status = 'open' AND clears_at <= clock_timestamp()
     ORDER BY clears_at LIMIT %(most)s)
"""
# What a lost hint or a changed policy may have left behind, page by page over all of it. A gate
# with fewer decisions than the fewest that can be enough, none of which refuses, only waits.
LOST = """
    (SELECT s.id FROM runs_step s LEFT JOIN approvals_gate g ON g.step_id = s.id
     WHERE s.status = 'held' AND s.needs_consent AND s.id > %(after)s AND (g.id IS NULL
        OR EXISTS (SELECT FROM approvals_decision d WHERE d.gate_id = g.id
                   HAVING count(*) >= greatest(g.quorum, 1) OR bool_or(d.verdict <> 'approve')))
     ORDER BY s.id LIMIT %(most)s)
    UNION
    (SELECT s.id FROM runs_step s JOIN approvals_clearance c ON c.step_id = s.id
     WHERE s.status = 'ready' AND s.is_remote AND s.needs_consent AND s.id > %(after)s
       AND s.attempt = 0 AND (c.expires_at <= clock_timestamp() OR EXISTS (
           SELECT FROM approvals_decision d JOIN approvals_revocation r ON r.decision_id = d.id
           WHERE d.gate_id = c.gate_id))
     ORDER BY s.id LIMIT %(most)s)
    UNION
    (SELECT s.id FROM approvals_gate g JOIN runs_step s ON s.id = g.step_id
     WHERE g.status = 'open' AND s.status <> 'held' AND s.id > %(after)s
     ORDER BY s.id LIMIT %(most)s)
    ORDER BY 1 LIMIT %(most)s
"""
FIRST = UUID(int=0)
sweep_notices = notices.sweep


@shared_task(name="approvals.keep", ignore_result=True)
def keep(id: str) -> None:
    """What a hint names: a step to be looked at, a glass whose signatures are to be verified, or
    a key that somebody wants enrolled."""
    for hinted in dispatch.following("gates", UUID(id)):
        if hinted is not None:
            handled(_kept, hinted, "What hint %s names could not be handled; the sweep finds it.")


def _kept(id: UUID) -> bool:
    if not gates.keep(id) and not glasskeys.keep(id):
        registry.register_key(id)
    return True


def sweep_due_gates() -> int:
    """Opens gates for held steps that nobody has looked at, ends those whose time is over, and
    clears those that have cooled off."""
    return sum(_keep(step_id) for step_id in _ids(DUE, {"most": limits.SWEEP_BATCH}))


def sweep_key_requests() -> int:
    """Answers what people have asked to be enrolled; returns how many requests were answered."""
    return sum(_register(id) for id in registry.open_requests(limits.SWEEP_BATCH))


def sweep_glasses() -> int:
    """Verifies the signatures of broken glasses; returns how many glasses were looked at."""
    return sum(_verify(id) for id in glasskeys.due(limits.SWEEP_BATCH))


class LostGates:
    """Looks over everything that waits, a page a pass, so that nothing can hide behind others."""

    def __init__(self) -> None:
        self._after = FIRST

    def sweep(self) -> int:
        """Does what lost hints left undone; returns how many steps moved on."""
        found = _ids(LOST, {"after": self._after, "most": limits.SWEEP_BATCH})
        self._after = found[-1] if len(found) == limits.SWEEP_BATCH else FIRST
        return sum(_keep(step_id) for step_id in found)


def _ids(query: str, values: dict[str, Any]) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [row[0] for row in cursor.fetchall()]


def _keep(step_id: UUID) -> bool:
    try:
        return gates.keep(step_id)
    except Exception as error:
        logger.exception("The gate of step %s could not be handled; it stays as it is.", step_id)
        because = f"The gatekeeper cannot read this step ({type(error).__name__}); it stays held."
        transitions.explain_hold(step_id, because)
        return False


def _verify(glass_id: UUID) -> bool:
    failed = "The glass %s could not be verified; it stays whole."
    return handled(glasskeys.keep, glass_id, failed)


def _register(request_id: UUID) -> bool:
    failed = "The key request %s could not be handled; it stays as it is."
    return handled(_registered, request_id, failed)


def _registered(request_id: UUID) -> bool:
    registry.register_key(request_id)
    return True
