"""The executor: claims a step that is due, makes an attempt, records what became of it."""

from __future__ import annotations

import logging
import time
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from psycopg.errors import RaiseException

from runs import (
    attempting,
    claims,
    completions,
    holders,
    limits,
    prepared,
    settlements,
    transitions,
)
from runs.claims import Held
from runs.deadlines import Overrun
from runs.declare import TOOLS
from runs.errors import ClaimMissed, Fenced
from runs.models import Step
from runs.proofs import (
    ClaimedStep,
    Credential,
    CredentialProvider,
    Verifier,
    plug_credentials,
    plug_verifier,
)
from runs.transitions import Outcome
from runs.transitions.rows import MAY_START

__all__ = [
    "ClaimedStep",
    "Credential",
    "CredentialProvider",
    "Verifier",
    "drain",
    "execute",
    "next_due",
    "plug_credentials",
    "plug_verifier",
    "settle",
]

logger = logging.getLogger(__name__)

FINISH_SECONDS = 0.2
"""How long between two tries to record an outcome while the database is away."""

_refused: dict[UUID, str] = {}
"""What the database said of steps that it let nobody claim."""

NEXT_DUE = f"""
    SELECT s.id FROM runs_step s JOIN runs_run r ON r.id = s.run_id
    WHERE s.status = 'ready' AND s.is_remote AND s.id <> ALL(%s)
      AND (s.not_before IS NULL OR s.not_before <= clock_timestamp())
      AND {MAY_START}
    ORDER BY s.not_before NULLS FIRST, s.id LIMIT 1 FOR UPDATE OF s SKIP LOCKED
"""


def drain(first: UUID | None = None, *, seconds: float = limits.SLICE_SECONDS) -> int:
    """Executes the hinted step, or carries out what people or the outside have said of it, then
    goes on with whatever else is due; returns how many attempts were made."""
    until, count = time.monotonic() + seconds, 0
    step_id = first or next_due()
    missed: set[UUID] = set()
    while step_id is not None:
        if execute(step_id):
            count += 1
        elif step_id != first or not settle(step_id):
            missed.add(step_id)
        step_id = next_due(missed) if time.monotonic() < until else None
    return count


def settle(step_id: UUID) -> bool:
    """Carries out what people, or the outside, have said of a step that waits for it; False where
    there is nothing to carry out, which costs one look."""
    with prepared.cursor() as cursor:
        cursor.execute("SELECT status FROM runs_step WHERE id = %s", [step_id])
        (status,) = cursor.fetchone() or ("",)
    if status == Step.Status.WAITING:
        return completions.carry_out_one(step_id)
    if status in settlements.ANSWERS:
        return settlements.carry_out_one(step_id)
    return False


def next_due(but: set[UUID] | None = None) -> UUID | None:
    """The step that has been due longest, leaving out those just missed."""
    with prepared.cursor() as cursor:
        cursor.execute(NEXT_DUE, [list(but or ())])
        row = cursor.fetchone()
    return None if row is None else row[0]


def execute(step_id: UUID) -> bool:
    """Makes one attempt of a step; False when it was not to be had."""
    try:
        step = transitions.start_step(
            step_id,
            holder=holders.me(),
            seconds=settings.PLACET_CLAIM_SECONDS,
            totals=_totals(),
        )
    except ClaimMissed as missed:
        logger.info("%s", missed)
        return False
    except DatabaseError as error:
        if not isinstance(error.__cause__, RaiseException):
            raise
        _put_off(step_id, error)
        return False
    held, number = Held("step", step_id, step.stepclaim.fence), step.attempt

    def finish(outcome: Outcome) -> None:
        _finish(held, outcome)
        logger.info("step %s attempt %d: %s", step_id, number, outcome.event)

    try:
        with claims.keeper.keeping(held):
            finish(attempting.attempt(held, step, number, finish))
    except Fenced as fenced:
        logger.error("fenced: %s", fenced)
    except Overrun:
        logger.error("step %s attempt %d came back too late.", step_id, number)
    return True


def _put_off(step_id: UUID, refusal: DatabaseError) -> None:
    """A claim that a lock refuses may be had later (what froze it is thawed), so it is tried
    again after a while, and said once: neither processor nor log is filled by asking."""
    said = str(refusal).partition("\n")[0]
    transitions.put_off_start(step_id, seconds=limits.REFUSED_SECONDS)
    if _refused.get(step_id) != said:
        logger.error("refused by the database: step %s: %s", step_id, said)
    if len(_refused) >= limits.REFUSED_KEPT:
        _refused.clear()
    _refused[step_id] = said


def _totals() -> dict[str, float]:
    """The tools whose attempts have an end together."""
    totals = {name: tool.retry.total_seconds for name, tool in TOOLS.items()}
    return {name: seconds for name, seconds in totals.items() if seconds is not None}


def _finish(held: Held, outcome: Outcome) -> None:
    """Records an outcome, again and again while the database is away and the claim is not
    lost: what happened outside must not be forgotten for a connection."""
    while True:
        try:
            return transitions.finish_attempt(held, outcome)
        except (OperationalError, InterfaceError) as error:
            if held.is_lost:
                raise
            logger.warning("The outcome of step %s is not recorded yet: %s", held.id, error)
            connection.close()
            time.sleep(FINISH_SECONDS)
