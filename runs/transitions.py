"""The only writer of a run's and a step's status.

Each verb is one transaction: the lock on the run's claim row (with the fence, where a
claim stands behind the verb), a guarded change of status, an event, and a hint once it
has committed. A guard that finds another status than it expected raises `ClaimMissed`;
a lost claim raises `Fenced`. Nothing here calls the network.

    run:  ready -> running -> waiting -> ready ...        -> succeeded | failed | cancelled
                      |-> quarantined (a person looks)
    step: held -(clearance)-> ready -> running -> succeeded | failed | in_doubt
            |-> denied           ^--- (retry, take-over) ---|
          held, ready -> cancelled
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from runs import dispatch, journal
from runs.claims import Held
from runs.errors import ClaimMissed, Fenced
from runs.models import new_id
from runs.points import reach
from runs.telemetry import current_trace_id

ENDED_STEP = ("succeeded", "failed", "denied", "cancelled")

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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an executor's attempt."""

    status: str
    event: str
    result: bytes | None = None
    error: dict[str, str] | None = None
    wait_seconds: float | None = None
    is_failure: bool = False


def record(claim: Held, recording: Recording) -> bool:
    """Commits one step of a worker; returns whether somebody asked to cancel the run."""
    values = {
        **recording.__dict__,
        "id": new_id(),
        "run": claim.id,
        "fence": claim.fence,
        "error": _json(recording.error),
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
        is_over = (bool(awaited) and not _has_unended(cursor, claim.id)) or (
            not is_cancelling and _is_cancelling(cursor, claim.id)
        )
        cursor.execute(
            """
            UPDATE runs_run SET status = %s, waiting_for = %s, waiting_since = clock_timestamp(),
                wake_at = (SELECT min(not_before) FROM runs_step WHERE run_id = %s
                           AND NOT is_remote AND status IN ('ready', 'waiting'))
            WHERE id = %s AND status = 'running' RETURNING tenant
            """,
            ["ready" if is_over else "waiting", waiting_for, claim.id, claim.id],
        )
        tenant = _one(cursor, "run", claim.id)
        _let_go(cursor, claim)
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
            [status, result, _json(error), claim.id],
        )
        _one(cursor, "run", claim.id)
        _let_go(cursor, claim)
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
            [_json(because), because["message"][:255], run_id],
        )
        _one(cursor, "run", run_id)
        if claim is not None:
            _let_go(cursor, claim)
    reach("committed:run.quarantined")


def clear(step_id: UUID, clearance_id: UUID, *, actor: str) -> None:
    """Held -> ready, on a clearance. Only the gatekeeper's role may, and the database checks."""
    run_id, position = _lock_run_of(step_id)
    journal.append(
        run_id,
        "step.cleared",
        {"clearance": str(clearance_id)},
        position=position,
        actor=actor,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE runs_step SET status = 'ready', clearance_id = %s, held_because = ''
            WHERE id = %s AND status = 'held' RETURNING tenant
            """,
            [clearance_id, step_id],
        )
        _one(cursor, "step", step_id)
    dispatch.hint("effects", step_id)


def deny(step_id: UUID, error: dict[str, str], *, actor: str) -> None:
    """Held (or cleared and never started) -> denied; wakes the run when it waited for this."""
    run_id, position = _lock_run_of(step_id)
    journal.append(run_id, "step.denied", error, position=position, actor=actor)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE runs_step SET status = 'denied', error = %s, held_because = '',
                finished_at = clock_timestamp()
            WHERE id = %s AND (status = 'held' OR (status = 'ready' AND attempt = 0))
            RETURNING tenant
            """,
            [_json(error), step_id],
        )
        _one(cursor, "step", step_id)
        _wake_if_over(cursor, run_id)


def explain_hold(step_id: UUID, because: str) -> None:
    """Says in words why a step is still held; not an event, it may change back and forth."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_step SET held_because = %s"
            " WHERE id = %s AND status = 'held' AND held_because <> %s",
            [because[:255], step_id, because[:255]],
        )


def start_step(step_id: UUID, *, holder: str, seconds: float) -> tuple[int, int]:
    """Ready -> running: the intent, committed before the attempt. Returns (fence, attempt).

    Raises `ClaimMissed` when the step is not ready, not due, of a run that ends, or when
    its idempotency key stands for other arguments.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        run_id, position = _lock_run_of(step_id)
        cursor.execute(
            """
            UPDATE runs_step s SET status = 'running', attempt = attempt + 1,
                started_at = coalesce(s.started_at, clock_timestamp()), not_before = NULL
            FROM runs_run r
            WHERE s.id = %s AND s.status = 'ready' AND s.is_remote AND r.id = s.run_id
              AND (s.not_before IS NULL OR s.not_before <= clock_timestamp())
              AND (r.cancel_requested_at IS NULL OR s.attempt > 0)
              AND r.status IN ('ready', 'running', 'waiting')
            RETURNING s.tenant, s.attempt, s.name, s.key, s.digest, s.effect
            """,
            [step_id],
        )
        row = cursor.fetchone()
        if row is None:
            raise ClaimMissed(f"Step {step_id} is not to be started now.")
        tenant, attempt, name, key, digest, effect = row
        cursor.execute(
            """
            INSERT INTO runs_stepclaim (step_id, tenant, fence, holder, expires_at)
            VALUES (%s, %s, 1, %s, clock_timestamp() + %s * interval '1 second')
            ON CONFLICT (step_id) DO UPDATE SET fence = runs_stepclaim.fence + 1,
                holder = excluded.holder, expires_at = excluded.expires_at
            RETURNING fence
            """,
            [step_id, tenant, holder, seconds],
        )
        fence = cursor.fetchone()[0]
        if effect != "safe":
            _intend(cursor, tenant=tenant, tool=name, key=key, step_id=step_id, digest=digest)
        journal.append(
            run_id,
            "step.started",
            {"attempt": attempt, "fence": fence, "holder": holder, "key": key},
            position=position,
            actor="executor",
        )
    reach("committed:step.started")
    return fence, attempt


def _intend(cursor: Any, *, tenant: str, tool: str, key: str, step_id: UUID, digest: bytes) -> None:
    cursor.execute(
        """
        INSERT INTO runs_effect (tenant, tool, key, step_id, digest, status)
        VALUES (%s, %s, %s, %s, %s, 'intended')
        ON CONFLICT (tenant, tool, key) DO UPDATE SET status = 'intended', settled_at = NULL
        WHERE runs_effect.digest = excluded.digest AND runs_effect.step_id = excluded.step_id
          AND runs_effect.status IN ('intended', 'failed')
        RETURNING key
        """,
        [tenant, tool, key, step_id, digest],
    )
    if cursor.fetchone() is None:
        raise ClaimMissed(
            f"The idempotency key {key} of {tool} is already used for other arguments."
        )


def finish_attempt(claim: Held, outcome: Outcome) -> None:
    """Running -> what became of it, for the holder of the step's claim; wakes the run."""
    with transaction.atomic(), connection.cursor() as cursor:
        run_id, position = _lock_run_of(claim.id)
        cursor.execute(
            """
            UPDATE runs_stepclaim SET expires_at = NULL, holder = ''
            WHERE step_id = %s AND fence = %s AND expires_at > clock_timestamp()
            """,
            [claim.id, claim.fence],
        )
        if cursor.rowcount != 1:
            raise Fenced(f"The claim on step {claim.id} with fence {claim.fence} is lost.")
        _settle(cursor, claim.id, run_id, position, outcome, actor="executor")
    reach(f"committed:{outcome.event}")


def take_over(step_id: UUID, outcome: Outcome) -> None:
    """Settles a running step whose holder's claim has ended. Raises `ClaimMissed` if not so."""
    with transaction.atomic(), connection.cursor() as cursor:
        run_id, position = _lock_run_of(step_id)
        cursor.execute(
            """
            UPDATE runs_stepclaim SET fence = fence + 1, holder = '', expires_at = NULL
            WHERE step_id = %s AND expires_at <= clock_timestamp()
            """,
            [step_id],
        )
        if cursor.rowcount != 1:
            raise ClaimMissed(f"The claim on step {step_id} is alive.")
        _settle(cursor, step_id, run_id, position, outcome, actor="sweep")
    reach(f"committed:{outcome.event}")


def _settle(
    cursor: Any, step_id: UUID, run_id: UUID, position: int, outcome: Outcome, *, actor: str
) -> None:
    body: dict[str, Any] = {} if outcome.error is None else {"error": outcome.error}
    journal.append(run_id, outcome.event, body, position=position, actor=actor)
    cursor.execute(
        """
        UPDATE runs_step SET status = %(status)s, result = %(result)s, error = %(error)s,
            failures = failures + %(failures)s,
            not_before = clock_timestamp() + %(wait)s * interval '1 second',
            finished_at = CASE WHEN %(status)s = ANY(%(ended)s) THEN clock_timestamp() END
        WHERE id = %(step)s AND status = 'running'
        RETURNING tenant, name, key, effect
        """,
        {
            "status": outcome.status,
            "result": outcome.result,
            "error": _json(outcome.error),
            "failures": int(outcome.is_failure),
            "wait": outcome.wait_seconds,
            "ended": list(ENDED_STEP),
            "step": step_id,
        },
    )
    row = cursor.fetchone()
    if row is None:
        raise ClaimMissed(f"Step {step_id} is not running.")
    tenant, name, key, effect = row
    if effect != "safe" and outcome.status != "ready":
        cursor.execute(
            "UPDATE runs_effect SET status = %s, settled_at = clock_timestamp()"
            " WHERE tenant = %s AND tool = %s AND key = %s",
            [outcome.status, tenant, name, key],
        )
    if outcome.status == "in_doubt":
        _say_in_doubt(cursor, run_id, name)
    if outcome.status == "ready" and not outcome.wait_seconds:
        dispatch.hint("effects", step_id)
    _wake_if_over(cursor, run_id)


def _say_in_doubt(cursor: Any, run_id: UUID, name: str) -> None:
    cursor.execute(
        "UPDATE runs_run SET waiting_for = %s WHERE id = %s AND status = 'waiting'",
        [f"a person to say what became of {name}: its outcome is in doubt", run_id],
    )


def wake(run_id: UUID) -> bool:
    """Waiting -> ready; False when it was not waiting."""
    with transaction.atomic(), connection.cursor() as cursor:
        return _wake(cursor, run_id)


def _wake(cursor: Any, run_id: UUID) -> bool:
    cursor.execute(
        "UPDATE runs_run SET status = 'ready', wake_at = NULL WHERE id = %s AND status = 'waiting'",
        [run_id],
    )
    if cursor.rowcount != 1:
        return False
    dispatch.hint("runs", run_id)
    return True


def _wake_if_over(cursor: Any, run_id: UUID) -> None:
    """The caller holds the run's claim row, so the last step to end sees all the others."""
    if not _has_unended(cursor, run_id) or _is_cancelling(cursor, run_id):
        _wake(cursor, run_id)


def _has_unended(cursor: Any, run_id: UUID) -> bool:
    cursor.execute(
        "SELECT EXISTS (SELECT FROM runs_step"
        " WHERE run_id = %s AND is_remote AND status <> ALL(%s))",
        [run_id, list(ENDED_STEP)],
    )
    return bool(cursor.fetchone()[0])


def _is_cancelling(cursor: Any, run_id: UUID) -> bool:
    cursor.execute("SELECT cancel_requested_at IS NOT NULL FROM runs_run WHERE id = %s", [run_id])
    return bool(cursor.fetchone()[0])


def _lock_run_of(step_id: UUID) -> tuple[UUID, int]:
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


def _let_go(cursor: Any, claim: Held) -> None:
    cursor.execute(
        "UPDATE runs_claim SET holder = '', expires_at = NULL WHERE run_id = %s AND fence = %s",
        [claim.id, claim.fence],
    )


def _one(cursor: Any, what: str, id: UUID) -> str:
    row = cursor.fetchone()
    if row is None:
        raise ClaimMissed(f"The {what} {id} is no longer in the state that this needs.")
    return str(row[0])


def _json(value: dict[str, str] | None) -> str | None:
    return None if value is None else json.dumps(value)
