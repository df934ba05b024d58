"""Transitions of a run: parked, ended, set aside, woken; and the steps that a worker records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from runs import dispatch, journal, prepared
from runs.claims import Held
from runs.errors import Fenced
from runs.models import new_id
from runs.points import reach
from runs.telemetry import current_trace_id
from runs.transitions import rows, together

SHOWN_POSITIONS = 100
"""How many of the positions that a run waits for its journal names."""

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
        SELECT tenant, %(run)s, last_seq, %(event)s, %(position)s, 'worker', %(body)s, %(trace)s
        FROM head
        RETURNING seq
    )
    SELECT head.tenant, event.seq, {asked}
    FROM head, step, event, runs_run r WHERE r.id = %(run)s
""".replace("{asked}", rows.ASKED)
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


def record(claim: Held, recording: Recording) -> str:
    """Commits one step of a worker, and the message that it takes from the run's mailbox;
    returns what people have asked of the run: `terminate`, `pause`, `cancel`, or nothing."""
    asked = record_part(claim, recording)
    reach(f"committed:{recording.event}")
    return asked


def record_part(claim: Held, recording: Recording) -> str:
    """`record`, as a part of the caller's transaction."""
    values = {
        **recording.__dict__,
        "id": new_id(),
        "run": claim.id,
        "fence": claim.fence,
        "error": rows.as_json(recording.error),
        "trace": current_trace_id.get(),
    }
    if together.is_possible(values):
        row = together.together.write(values, RECORD)
    else:
        statement = RECORD if recording.takes is None else RECORD_TAKING
        row = together.write_alone(values, statement)
    if row is None:
        raise Fenced(f"The claim on run {claim.id} with fence {claim.fence} is lost.")
    tenant, seq, asked = row
    dispatch.show(tenant, "run", claim.id, seq)
    return str(asked or "")


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
