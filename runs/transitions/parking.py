"""A run that has to wait: the steps that it leaves behind, its parking, and what wakes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from runs import dispatch, journal, prepared
from runs.claims import Held
from runs.models import new_id
from runs.points import reach
from runs.transitions import rows
from runs.transitions.recording import Recording, record_part

SHOWN_POSITIONS = 100
"""How many of the positions that a run waits for its journal names."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A step that a worker declares for the executor: held, when people must consent to it."""

    position: int
    name: str
    effect: str
    is_money: bool
    declaration: str
    arguments: bytes
    digest: bytes
    key: str


def park(
    claim: Held,
    *,
    declared: Sequence[Declared] = (),
    waits: Sequence[Recording] = (),
    awaited: Sequence[int] | None,
    awaits_any: bool = False,
    waiting_for: str,
    is_cancelling: bool = False,
) -> None:
    """Declares steps and lets go of the run until those at the positions `awaited` are over (all
    of them, or any), or until the earliest time that one of them names. With `awaited` None it
    waits for every step of the executor that it has.

    What happened while the worker was busy (a step ended, a message came, somebody asked to
    cancel) is seen under the lock, so no wake-up is lost: the run is then ready at once.
    `is_cancelling` is for a worker that has seen the request already.
    """
    with transaction.atomic(), prepared.cursor() as cursor:
        seq = journal.append(
            claim.id,
            "run.waiting",
            {"for": waiting_for, "positions": list(awaited or ())[:SHOWN_POSITIONS]},
            actor="worker",
            fence=claim.fence,
        )
        for recording in waits:
            record_part(claim, recording)
        for step in declared:
            _declare(cursor, claim, step)
        waiting_for = rows.words_of_doubt(cursor, claim.id) or waiting_for
        cursor.execute(
            """
            UPDATE runs_run SET status = 'waiting', waiting_for = %(words)s,
                waiting_since = clock_timestamp(), awaited = %(awaited)s, awaits_any = %(any)s,
                wake_at = (SELECT min(not_before) FROM runs_step WHERE run_id = %(run)s
                           AND NOT is_remote AND status IN ('ready', 'waiting')
                           AND position = ANY(%(awaited)s))
            WHERE id = %(run)s AND status = 'running' RETURNING tenant
            """,
            {
                "words": waiting_for,
                "awaited": None if awaited is None else list(awaited),
                "any": awaits_any,
                "run": claim.id,
            },
        )
        tenant = rows.one(cursor, "run", claim.id)
        asked = rows.asked(cursor, claim.id)
        is_over = rows.is_over(cursor, claim.id) or (
            asked in ("terminate", "pause") or (asked == "cancel" and not is_cancelling)
        )
        if is_over:
            rows.wake(cursor, claim.id)
        rows.let_go(cursor, claim)
        dispatch.show(tenant, "run", claim.id, seq)
    reach("committed:run.waiting")


def declare(claim: Held, declared: Sequence[Declared]) -> None:
    """Commits steps for the executor while the run goes on."""
    if not declared:
        return
    with transaction.atomic(), prepared.cursor() as cursor:
        for step in declared:
            _declare(cursor, claim, step)
    reach("committed:steps.declared")


def _declare(cursor: Any, claim: Held, step: Declared) -> None:
    id = new_id()
    status = "held" if step.is_money else "ready"
    cursor.execute(
        """
        INSERT INTO runs_step (
            id, tenant, run_id, position, kind, name, effect, is_money, is_remote,
            declaration_id, status, arguments, digest, key, attempt, failures, held_because)
        SELECT %s, tenant, id, %s, 'tool', %s, %s, %s, true, %s, %s, %s, %s, %s, 0, 0, ''
        FROM runs_run WHERE id = %s
        RETURNING status, needs_consent
        """,
        [
            id,
            step.position,
            step.name,
            step.effect,
            step.is_money,
            step.declaration,
            status,
            step.arguments,
            step.digest,
            step.key,
            claim.id,
        ],
    )
    # The database may know of people to be asked, where the declaration does not.
    status, needs_consent = cursor.fetchone()
    journal.append(
        claim.id,
        f"step.{status}",
        {"name": step.name, "key": step.key, "digest": step.digest.hex()},
        position=step.position,
        actor="worker",
        fence=claim.fence,
    )
    dispatch.hint("gates" if needs_consent else "effects", id)


def wake(run_id: UUID) -> bool:
    """Waiting -> ready; False when it was not waiting."""
    with transaction.atomic(), prepared.cursor() as cursor:
        was_waiting = rows.wake(cursor, run_id)
    reach("committed:run.woken")
    return was_waiting
