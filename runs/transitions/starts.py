"""The transition with which an executor's attempt begins, or is put off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from runs import canonical, dispatch, prepared
from runs.errors import ClaimMissed
from runs.models import Run, Step, StepClaim
from runs.points import reach
from runs.prepared import Columns
from runs.telemetry import current_trace_id
from runs.transitions import rows

STEP, RUN, CLAIM = map(Columns, (Step, Run, StepClaim))
# The step, who may write it until when, the intent and the event, each only with the one before
# it. That its run may start anything is looked at under the lock of the run, taken before this.
# The body of the event has its canonical form: only here attempt and fence are known.
START = f"""
    WITH step AS (
        UPDATE runs_step s SET status = 'running', attempt = attempt + 1,
            started_at = coalesce(s.started_at, clock_timestamp()), not_before = NULL,
            give_up_at = coalesce(s.give_up_at, clock_timestamp()
                + (%(totals)s::jsonb ->> s.name)::double precision * interval '1 second')
        FROM runs_run r
        WHERE s.id = %(step)s AND s.status = 'ready' AND s.is_remote AND r.id = s.run_id
          AND (s.not_before IS NULL OR s.not_before <= clock_timestamp())
          AND {rows.MAY_START}
        RETURNING s.*
    ), claim AS (
        INSERT INTO runs_stepclaim (step_id, tenant, fence, holder, expires_at)
        SELECT id, tenant, 1, %(holder)s, clock_timestamp() + %(seconds)s * interval '1 second'
        FROM step
        ON CONFLICT (step_id) DO UPDATE SET fence = runs_stepclaim.fence + 1,
            holder = excluded.holder, expires_at = excluded.expires_at, token_hash = NULL
        RETURNING *
    ), intent AS (
        INSERT INTO runs_effect (tenant, tool, key, step_id, digest, status)
        SELECT tenant, name, key, id, digest, 'intended' FROM step WHERE effect <> 'safe'
        ON CONFLICT (tenant, tool, key) DO UPDATE SET status = 'intended', settled_at = NULL
        WHERE runs_effect.digest = excluded.digest AND runs_effect.step_id = excluded.step_id
          AND runs_effect.status IN ('intended', 'failed')
        RETURNING key
    ), head AS (
        UPDATE runs_claim c SET last_seq = c.last_seq + 1 FROM step
        WHERE c.run_id = step.run_id RETURNING c.last_seq
    ), event AS (
        INSERT INTO runs_event (tenant, run_id, seq, kind, position, actor, body, trace_id)
        SELECT step.tenant, step.run_id, head.last_seq, 'step.started', step.position, 'executor',
            convert_to('{{"attempt":' || step.attempt || ',"fence":' || claim.fence
                || ',"holder":' || %(holder_in_json)s
                || ',"key":' || to_json(step.key)::text || '}}', 'UTF8'),
            %(trace)s
        FROM head, step, claim
    )
    SELECT {STEP.of("step")}, {RUN.of("r")}, {CLAIM.of("claim")}, head.last_seq,
        step.effect = 'safe' OR EXISTS (SELECT FROM intent)
    FROM step JOIN runs_run r ON r.id = step.run_id, claim, head
"""


def start_step(
    step_id: UUID, *, holder: str, seconds: float, totals: Mapping[str, float] | None = None
) -> Step:
    """Ready -> running: the intent, committed before the attempt. Returns the step as it was
    committed, with its run and its claim.

    `totals` are the seconds that all attempts of a step may take together, by tool; they are
    counted from here, the first time. Raises `ClaimMissed` when the step is not ready, not due,
    of a run that ends, or when its idempotency key stands for other arguments.
    """
    values = {
        "step": step_id,
        "holder": holder,
        "holder_in_json": canonical.encode(holder).decode(),
        "seconds": seconds,
        "totals": json.dumps(dict(totals or {})),
        "trace": current_trace_id.get(),
    }
    with transaction.atomic(), prepared.cursor() as cursor:
        rows.lock_run_of(step_id)
        cursor.execute(START, values)
        row = cursor.fetchone()
        if row is None:
            raise ClaimMissed(f"Step {step_id} is not to be started now.")
        step: Step
        step, step.run, step.stepclaim, seq, is_intended = prepared.split(row, STEP, RUN, CLAIM)
        if not is_intended:
            raise ClaimMissed(
                f"The idempotency key {step.key} of {step.name} is already used for other"
                " arguments."
            )
        dispatch.show(step.tenant, "run", step.run_id, seq)
    reach("committed:step.started")
    return step


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
