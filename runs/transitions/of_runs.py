"""Transitions of a run: parked, ended, set aside, woken; and the steps that a worker records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from runs import dispatch, journal
from runs.claims import Held
from runs.errors import Fenced
from runs.models import new_id
from runs.points import reach
from runs.telemetry import current_trace_id
from runs.transitions import rows

# A safe step costs one statement and one commit: fence, step and event together.
RECORD = """
    WITH head AS (
        UPDATE runs_claim SET last_seq = last_seq + 1
        WHERE run_id = %(run)s AND fence = %(fence)s AND expires_at > clock_timestamp()
        RETURNING tenant, last_seq
    ), step AS (
        INSERT INTO runs_step (
            id, tenant, run_id, position, kind, name, effect, is_money, is_remote, status,
            arguments, digest, key, attempt, failures, not_before, result, error,
            held_because, created_at, started_at, finished_at)
        SELECT %(id)s, tenant, %(run)s, %(position)s, %(kind)s, %(name)s, 'safe', false, false,
            %(status)s, %(arguments)s, %(digest)s, %(key)s, %(attempt)s, %(failures)s,
            clock_timestamp() + %(wait)s, %(result)s, %(error)s, '',
            clock_timestamp(), clock_timestamp() - %(took)s,
            CASE WHEN %(status)s IN ('succeeded', 'failed') THEN clock_timestamp() END
        FROM head
        ON CONFLICT (tenant, run_id, position) DO UPDATE SET
            status = excluded.status, attempt = excluded.attempt, failures = excluded.failures,
            not_before = excluded.not_before, result = excluded.result, error = excluded.error,
            started_at = least(runs_step.started_at, excluded.started_at),
            finished_at = excluded.finished_at
        WHERE runs_step.status IN ('ready', 'waiting')
        RETURNING id
    ), event AS (
        INSERT INTO runs_event (tenant, run_id, seq, kind, position, actor, body, trace_id)
        SELECT tenant, %(run)s, last_seq, %(event)s, %(position)s, 'worker', %(body)s, %(trace)s
        FROM head
        RETURNING seq
    )
    SELECT head.tenant, event.seq, r.cancel_requested_at IS NOT NULL
    FROM head, step, event, runs_run r WHERE r.id = %(run)s
"""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a worker writes of a step that it ran itself, or that only waits for a time."""

    position: int
    kind: str
    name: str
    status: str
    event: str
    arguments: bytes
    digest: bytes
    key: str
    attempt: int = 1
    failures: int = 0
    wait: timedelta | None = None
    took: timedelta = field(default_factory=timedelta)
    result: bytes | None = None
    error: dict[str, str] | None = None
    body: bytes = b"{}"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A step that a worker declares for the executor: held, when it moves money."""

    position: int
    name: str
    effect: str
    is_money: bool
    declaration: str
    arguments: bytes
    digest: bytes
    key: str


def record(claim: Held, recording: Recording) -> bool:
    """Commits one step of a worker; returns whether somebody asked to cancel the run."""
    values = {
        **recording.__dict__,
        "id": new_id(),
        "run": claim.id,
        "fence": claim.fence,
        "error": rows.as_json(recording.error),
        "trace": current_trace_id.get(),
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD, values)
        row = cursor.fetchone()
    if row is None:
        raise Fenced(f"The claim on run {claim.id} with fence {claim.fence} is lost.")
    tenant, seq, is_cancelling = row
    dispatch.show(tenant, "run", claim.id, seq)
    reach(f"committed:{recording.event}")
    return bool(is_cancelling)


def park(
    claim: Held,
    *,
    declared: list[Declared],
    awaited: list[int],
    waiting_for: str,
    is_cancelling: bool = False,
) -> None:
    """Declares steps and lets go of the run until they have ended, or until the earliest time
    that one of its own waiting steps names.

    What happened while the worker was busy (a step ended, somebody asked to cancel) is seen
    under the lock, so no wake-up is lost: the run is then ready at once. `is_cancelling` is
    for a worker that has seen the request already.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        seq = journal.append(
            claim.id,
            "run.waiting",
            {"for": waiting_for, "positions": awaited},
            actor="worker",
            fence=claim.fence,
        )
        for step in declared:
            _declare(cursor, claim, step)
        if is_cancelling:
            is_over = not rows.has_unended(cursor, claim.id)
        else:
            is_over = rows.is_cancelling(cursor, claim.id) or (
                bool(awaited) and not rows.has_unended(cursor, claim.id)
            )
        waiting_for = rows.words_of_doubt(cursor, claim.id) or waiting_for
        cursor.execute(
            """
            UPDATE runs_run SET status = %s, waiting_for = %s, waiting_since = clock_timestamp(),
                wake_at = (SELECT min(not_before) FROM runs_step WHERE run_id = %s
                           AND NOT is_remote AND status IN ('ready', 'waiting'))
            WHERE id = %s AND status = 'running' RETURNING tenant
            """,
            ["ready" if is_over else "waiting", waiting_for, claim.id, claim.id],
        )
        tenant = rows.one(cursor, "run", claim.id)
        rows.let_go(cursor, claim)
        dispatch.show(tenant, "run", claim.id, seq)
        if is_over:
            dispatch.hint("runs", claim.id)
    reach("committed:run.waiting")


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
    journal.append(
        claim.id,
        f"step.{status}",
        {"name": step.name, "key": step.key, "digest": step.digest.hex()},
        position=step.position,
        actor="worker",
        fence=claim.fence,
    )
    dispatch.hint("gates" if step.is_money else "effects", id)


def finish_run(
    claim: Held, status: str, *, result: bytes | None = None, error: dict[str, str] | None = None
) -> None:
    """Ends a run: succeeded, failed, or cancelled (then its unstarted steps are, too)."""
    with transaction.atomic(), connection.cursor() as cursor:
        body = {} if error is None else {"error": error}
        journal.append(claim.id, f"run.{status}", body, actor="worker", fence=claim.fence)
        _cancel_unstarted(cursor, claim)
        cursor.execute(
            """
            UPDATE runs_run SET status = %s, result = %s, error = %s,
                finished_at = clock_timestamp(), waiting_for = '', waiting_since = NULL,
                wake_at = NULL
            WHERE id = %s AND status = 'running' RETURNING tenant
            """,
            [status, result, rows.as_json(error), claim.id],
        )
        rows.one(cursor, "run", claim.id)
        rows.let_go(cursor, claim)
    reach(f"committed:run.{status}")


def cancel_unstarted(claim: Held) -> list[str]:
    """Cancels the steps that no executor has started; returns the names of those in flight.

    A step that was attempted and waits to be attempted again is in flight: whether it had
    its effect is not known yet, so it goes on under its key until it is.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        journal.append(claim.id, "run.cancelling", {}, actor="worker", fence=claim.fence)
        _cancel_unstarted(cursor, claim)
        cursor.execute(
            "SELECT name FROM runs_step WHERE run_id = %s"
            " AND status IN ('ready', 'running', 'in_doubt')",
            [claim.id],
        )
        in_flight = [row[0] for row in cursor.fetchall()]
    reach("committed:run.cancelling")
    return in_flight


def _cancel_unstarted(cursor: Any, claim: Held) -> None:
    cursor.execute(
        """
        UPDATE runs_step SET status = 'cancelled', finished_at = clock_timestamp()
        WHERE run_id = %s AND (status IN ('held', 'waiting')
                               OR (status = 'ready' AND (attempt = 0 OR NOT is_remote)))
        RETURNING id, position, is_money
        """,
        [claim.id],
    )
    for id, position, is_money in cursor.fetchall():
        journal.append(
            claim.id, "step.cancelled", {}, position=position, actor="worker", fence=claim.fence
        )
        if is_money:
            dispatch.hint("gates", id)


def quarantine(run_id: UUID, because: dict[str, str], *, claim: Held | None = None) -> None:
    """Sets a run aside for a person, with the reason in words; nothing of it runs any more."""
    with transaction.atomic(), connection.cursor() as cursor:
        fence = claim.fence if claim else None
        journal.append(run_id, "run.quarantined", because, actor="engine", fence=fence)
        cursor.execute(
            """
            UPDATE runs_run SET status = 'quarantined', error = %s, waiting_for = %s,
                waiting_since = clock_timestamp(), wake_at = NULL
            WHERE id = %s AND status IN ('ready', 'running', 'waiting') RETURNING tenant
            """,
            [rows.as_json(because), because["message"][:255], run_id],
        )
        rows.one(cursor, "run", run_id)
        if claim is not None:
            rows.let_go(cursor, claim)
    reach("committed:run.quarantined")


def wake(run_id: UUID) -> bool:
    """Waiting -> ready; False when it was not waiting."""
    with transaction.atomic(), connection.cursor() as cursor:
        return rows.wake(cursor, run_id)
