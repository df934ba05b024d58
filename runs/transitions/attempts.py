"""Transitions of an executor's attempt: intended, settled, taken over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from runs import dispatch, journal
from runs.claims import Held
from runs.errors import ClaimMissed, Fenced
from runs.points import reach
from runs.transitions import rows


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an executor's attempt."""

    status: str
    event: str
    result: bytes | None = None
    error: dict[str, str] | None = None
    wait_seconds: float | None = None
    is_failure: bool = False


def start_step(step_id: UUID, *, holder: str, seconds: float) -> tuple[int, int]:
    """Ready -> running: the intent, committed before the attempt. Returns (fence, attempt).

    Raises `ClaimMissed` when the step is not ready, not due, of a run that ends, or when
    its idempotency key stands for other arguments.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        run_id, position = rows.lock_run_of(step_id)
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
        run_id, position = rows.lock_run_of(claim.id)
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
        run_id, position = rows.lock_run_of(step_id)
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
            "error": rows.as_json(outcome.error),
            "failures": int(outcome.is_failure),
            "wait": outcome.wait_seconds,
            "ended": list(rows.ENDED_STEP),
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
    rows.wake_if_over(cursor, run_id)


def _say_in_doubt(cursor: Any, run_id: UUID, name: str) -> None:
    cursor.execute(
        "UPDATE runs_run SET waiting_for = %s WHERE id = %s AND status = 'waiting'",
        [rows.DOUBT.format(name), run_id],
    )
