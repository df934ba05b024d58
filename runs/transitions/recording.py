"""The steps that a worker records itself, each with its event, in the slice of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from runs import dispatch
from runs.claims import Held
from runs.errors import Fenced
from runs.models import new_id
from runs.points import reach
from runs.telemetry import current_trace_id
from runs.transitions import rows, together

# A safe step costs one statement and one commit: fence, step and event together. Where the step is
# not what it has to be, its event has no body, which the database refuses, and all with it.
RECORD = f"""
    WITH head AS (
        UPDATE runs_claim SET last_seq = last_seq + 1
        WHERE run_id = %(run)s AND fence = %(fence)s AND expires_at > clock_timestamp()
        RETURNING tenant, last_seq
    ), step AS (
        INSERT INTO runs_step (
            id, tenant, run_id, position, kind, name, effect, is_money, is_remote, status,
            arguments, digest, key, attempt, failures, not_before, result, error,
            held_because, created_at, started_at, finished_at, give_up_at)
        SELECT %(id)s, tenant, %(run)s, %(position)s, %(kind)s, %(name)s, 'safe', false, false,
            %(status)s::varchar, %(arguments)s, %(digest)s, %(key)s, %(attempt)s, %(failures)s,
            coalesce(%(until)s::timestamptz, clock_timestamp() + %(wait)s::interval),
            %(result)s, %(error)s::jsonb, '',
            clock_timestamp(), clock_timestamp() - %(took)s::interval,
            CASE WHEN %(status)s::varchar IN ('succeeded', 'failed', 'cancelled')
                THEN clock_timestamp() END,
            clock_timestamp() - %(took)s::interval + %(give_up)s::interval
        FROM head
        ON CONFLICT (run_id, position) DO UPDATE SET
            status = excluded.status, attempt = excluded.attempt, failures = excluded.failures,
            not_before = excluded.not_before, result = excluded.result, error = excluded.error,
            started_at = least(runs_step.started_at, excluded.started_at),
            finished_at = excluded.finished_at, give_up_at = CASE WHEN NOT %(is_fresh)s
                THEN coalesce(runs_step.give_up_at, excluded.give_up_at) END
        WHERE runs_step.status IN ('ready', 'waiting', 'paused')
        RETURNING id
    ), event AS (
        INSERT INTO runs_event (tenant, run_id, seq, kind, position, actor, body, trace_id)
        SELECT tenant, %(run)s, last_seq, %(event)s, %(position)s, 'worker',
            (SELECT %(body)s::bytea FROM step), %(trace)s
        FROM head
    )
    SELECT head.tenant, head.last_seq, {rows.ASKED}
    FROM head, runs_run r WHERE r.id = %(run)s
"""
# The same, with the message that the step takes: only while it lies in the mailbox. Nobody but
# the holder of the run's claim takes any, so what `head` saw is what is taken.
HELD = "WHERE run_id = %(run)s AND fence = %(fence)s AND expires_at > clock_timestamp()"
LIES_THERE = "id = %(takes)s AND run_id = %(run)s AND taken_at IS NULL"
TAKE = f"""mail AS (
        UPDATE runs_signal SET taken_at = %(position)s FROM head WHERE {LIES_THERE}
    ), step AS ("""
RECORD_TAKING = RECORD.replace(
    HELD, f"{HELD} AND EXISTS (SELECT FROM runs_signal WHERE {LIES_THERE})"
).replace("step AS (", TAKE)


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
    until: datetime | None = None
    takes: UUID | None = None
    give_up: timedelta | None = None
    """How long all attempts may take together, counted from the first."""
    is_fresh: bool = False
    """A person has given it all its attempts anew."""
    took: timedelta = field(default_factory=timedelta)
    result: bytes | None = None
    error: dict[str, str] | None = None
    body: bytes = b"{}"


def record(claim: Held, recording: Recording) -> str:
    """Commits one step of a worker, and the message that it takes from the run's mailbox;
    returns what people have asked of the run: `terminate`, `pause`, `cancel`, or nothing."""
    asked = record_part(claim, recording)
    reach(f"committed:{recording.event}")
    return asked


def record_part(claim: Held, recording: Recording) -> str:
    """`record`, as a part of the caller's transaction.

    Raises `Fenced` when the claim is lost, `ClaimMissed` when the step is not what it has to be.
    """
    values = {
        **recording.__dict__,
        "id": new_id(),
        "run": claim.id,
        "fence": claim.fence,
        "error": rows.as_json(recording.error),
        "trace": current_trace_id.get(),
    }
    try:
        row = _write(values)
    except IntegrityError as refused:
        if not rows.has_no_body(refused):
            raise
        raise rows.missed("step", f"{claim.id}/{recording.position}") from None
    if row is None:
        raise Fenced(f"The claim on run {claim.id} with fence {claim.fence} is lost.")
    tenant, seq, asked = row
    dispatch.show(tenant, "run", claim.id, seq)
    return str(asked or "")


def _write(values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    if together.is_possible(values):
        return together.together.write(values, RECORD)
    return together.write_alone(values, RECORD if values["takes"] is None else RECORD_TAKING)
