"""Transitions of an executor's attempt: intended, settled, taken over, completed from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from runs import dispatch, journal, positions, prepared
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
    is_death: bool = False
    is_unknown: bool = False
    """The effect may have happened in this attempt."""
    is_cleared_up: bool = False
    """The provider has said that no attempt before this one had its effect."""
    body: dict[str, Any] = field(default_factory=dict)
    """What else the event says."""


def start_step(
    step_id: UUID, *, holder: str, seconds: float, totals: Mapping[str, float] | None = None
) -> tuple[int, int]:
    """Ready -> running: the intent, committed before the attempt. Returns (fence, attempt).

    `totals` are the seconds that all attempts of a step may take together, by tool; they are
    counted from here, the first time. Raises `ClaimMissed` when the step is not ready, not due,
    of a run that ends, or when its idempotency key stands for other arguments.
    """
    with transaction.atomic(), prepared.cursor() as cursor:
        run_id, position = rows.lock_run_of(step_id)
        cursor.execute(
            """
            UPDATE runs_step s SET status = 'running', attempt = attempt + 1,
                started_at = coalesce(s.started_at, clock_timestamp()), not_before = NULL,
                give_up_at = coalesce(s.give_up_at, clock_timestamp()
                    + (%s::jsonb ->> s.name)::double precision * interval '1 second')
            FROM runs_run r
            WHERE s.id = %s AND s.status = 'ready' AND s.is_remote AND r.id = s.run_id
              AND (s.not_before IS NULL OR s.not_before <= clock_timestamp())
              AND {may_start}
            RETURNING s.tenant, s.attempt, s.name, s.key, s.digest, s.effect
            """.replace("{may_start}", rows.MAY_START),
            [json.dumps(dict(totals or {})), step_id],
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
                holder = excluded.holder, expires_at = excluded.expires_at, token_hash = NULL
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


def put_off_start(step_id: UUID, *, seconds: float) -> None:
    """Lets a step that is ready, but may not be claimed now, not be due for so long."""
    with prepared.cursor() as cursor:
        cursor.execute(
            """
            UPDATE runs_step SET not_before = clock_timestamp() + %s * interval '1 second'
            WHERE id = %s AND status = 'ready' AND is_remote
            """,
            [seconds, step_id],
        )


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
    with transaction.atomic(), prepared.cursor() as cursor:
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
    with transaction.atomic(), prepared.cursor() as cursor:
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


def end_waiting(step_id: UUID, outcome: Outcome, *, is_late: bool = False) -> None:
    """Settles a step that was left to the outside. Raises `ClaimMissed` when it does not wait,
    or, where it `is_late`, has been completed after all."""
    with transaction.atomic(), prepared.cursor() as cursor:
        run_id, position = rows.lock_run_of(step_id)
        if is_late:
            cursor.execute(
                "SELECT FROM runs_step s JOIN runs_completion c"
                " ON c.step_id = s.id AND c.attempt = s.attempt WHERE s.id = %s",
                [step_id],
            )
            if cursor.fetchone() is not None:
                raise ClaimMissed(f"Step {step_id} has been completed.")
        _settle(cursor, step_id, run_id, position, outcome, actor="executor", was="waiting")
    reach(f"committed:{outcome.event}")


def _settle(
    cursor: Any,
    step_id: UUID,
    run_id: UUID,
    position: int,
    outcome: Outcome,
    *,
    actor: str,
    was: str = "running",
) -> None:
    if outcome.status == "failed" and positions.is_undo(position):
        # That something stays as it was is for people to see, whatever the reason.
        outcome = replace(outcome, status="paused", event="step.paused")
    body = outcome.body | ({} if outcome.error is None else {"error": outcome.error})
    journal.append(run_id, outcome.event, body, position=position, actor=actor)
    cursor.execute(
        """
        UPDATE runs_step SET status = %(status)s::varchar, result = %(result)s, error = %(error)s,
            failures = failures + %(failures)s, deaths = deaths + %(deaths)s,
            unknowns = CASE WHEN %(cleared)s THEN 0 ELSE unknowns END + %(unknowns)s,
            not_before = clock_timestamp() + %(wait)s * interval '1 second',
            finished_at = CASE WHEN %(status)s::varchar = ANY(%(ended)s) THEN clock_timestamp() END
        WHERE id = %(step)s AND status = %(was)s
        RETURNING tenant, name, key, effect
        """,
        {
            "status": outcome.status,
            "result": outcome.result,
            "error": rows.as_json(outcome.error),
            "failures": int(outcome.is_failure),
            "deaths": int(outcome.is_death),
            "unknowns": int(outcome.is_unknown),
            "cleared": outcome.is_cleared_up,
            "wait": outcome.wait_seconds,
            "ended": list(rows.ENDED_STEP),
            "step": step_id,
            "was": was,
        },
    )
    row = cursor.fetchone()
    if row is None:
        raise ClaimMissed(f"Step {step_id} is not {was}.")
    tenant, name, key, effect = row
    if effect != "safe" and outcome.status not in ("ready", "waiting"):
        cursor.execute(
            "UPDATE runs_effect SET status = %s, settled_at = clock_timestamp()"
            " WHERE tenant = %s AND tool = %s AND key = %s",
            # A paused step is one that is known not to have had its effect.
            [{"paused": "failed"}.get(outcome.status, outcome.status), tenant, name, key],
        )
    if outcome.status in ("in_doubt", "paused", "waiting"):
        rows.say_what_for(cursor, run_id)
    if outcome.status == "waiting" or (outcome.status == "ready" and not outcome.wait_seconds):
        # One that waits may have been completed before its tool came back.
        dispatch.hint("effects", step_id)
    rows.wake_if_over(cursor, run_id)
