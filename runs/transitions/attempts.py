"""Transitions of an executor's attempt: settled, taken over, completed from outside."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from runs import canonical, dispatch, positions, prepared
from runs.claims import Held
from runs.errors import ClaimMissed, Fenced
from runs.points import reach
from runs.telemetry import current_trace_id
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


# What an attempt came to, for the holder of the step's claim (or as `claim` says): event, step
# and effect, or nothing at all. The claim row of the run is locked first here as well; nothing
# else is looked at than the rows that are written, in their newest form.
SETTLE = """
    WITH head AS (
        UPDATE runs_claim c SET last_seq = c.last_seq + 1 FROM runs_step s
        WHERE s.id = %(step)s AND c.run_id = s.run_id
        RETURNING c.run_id, c.tenant, c.last_seq, s.position
    ), claim AS ({claim}
    ), step AS (
        UPDATE runs_step s SET status = %(status)s::varchar, result = %(result)s,
            error = %(error)s, failures = failures + %(failures)s, deaths = deaths + %(deaths)s,
            unknowns = CASE WHEN %(cleared)s THEN 0 ELSE unknowns END + %(unknowns)s,
            not_before = clock_timestamp() + %(wait)s * interval '1 second',
            finished_at = CASE WHEN %(status)s::varchar = ANY(%(ended)s)
                THEN clock_timestamp() END
        FROM claim WHERE s.id = claim.step_id AND s.status = %(was)s
        RETURNING s.tenant, s.name, s.key, s.effect
    ), effect AS (
        UPDATE runs_effect e SET status = %(came_to)s::varchar, settled_at = clock_timestamp()
        FROM step WHERE step.effect <> 'safe' AND %(came_to)s::varchar IS NOT NULL
          AND e.tenant = step.tenant AND e.tool = step.name AND e.key = step.key
    ), event AS (
        INSERT INTO runs_event (tenant, run_id, seq, kind, position, actor, body, trace_id)
        SELECT head.tenant, head.run_id, head.last_seq, %(event)s, head.position, %(actor)s,
            %(body)s, %(trace)s
        FROM head, step
    )
    SELECT run_id, tenant, last_seq, EXISTS (SELECT FROM claim), EXISTS (SELECT FROM step)
    FROM head
"""
HELD = """
        UPDATE runs_stepclaim c SET expires_at = NULL, holder = '' FROM head
        WHERE c.step_id = %(step)s AND fence = %(fence)s AND expires_at > clock_timestamp()
        RETURNING c.step_id"""
LOST = """
        UPDATE runs_stepclaim c SET fence = fence + 1, holder = '', expires_at = NULL FROM head
        WHERE c.step_id = %(step)s AND c.expires_at <= clock_timestamp()
        RETURNING c.step_id"""
NOBODYS = """
        SELECT %(step)s AS step_id FROM head"""
FINISH, TAKE_OVER, END_WAITING = (SETTLE.replace("{claim}", one) for one in (HELD, LOST, NOBODYS))


def finish_attempt(claim: Held, outcome: Outcome) -> None:
    """Running -> what became of it, for the holder of the step's claim; wakes the run."""
    with transaction.atomic(), prepared.cursor() as cursor:
        # A statement of its own: what waited for this lock would see the claim as it was before,
        # and call one lost that was renewed meanwhile.
        rows.lock_run_of(claim.id)
        if not _settle(cursor, FINISH, claim.id, outcome, actor="executor", fence=claim.fence):
            raise Fenced(f"The claim on step {claim.id} with fence {claim.fence} is lost.")
    reach(f"committed:{outcome.event}")


def take_over(step_id: UUID, outcome: Outcome) -> None:
    """Settles a running step whose holder's claim has ended. Raises `ClaimMissed` if not so."""
    with transaction.atomic(), prepared.cursor() as cursor:
        if not _settle(cursor, TAKE_OVER, step_id, outcome, actor="sweep"):
            raise ClaimMissed(f"The claim on step {step_id} is alive.")
    reach(f"committed:{outcome.event}")


def end_waiting(step_id: UUID, outcome: Outcome, *, is_late: bool = False) -> None:
    """Settles a step that was left to the outside. Raises `ClaimMissed` when it does not wait,
    or, where it `is_late`, has been completed after all."""
    with transaction.atomic(), prepared.cursor() as cursor:
        rows.lock_run_of(step_id)
        if is_late:
            cursor.execute(
                "SELECT FROM runs_step s JOIN runs_completion c"
                " ON c.step_id = s.id AND c.attempt = s.attempt WHERE s.id = %s",
                [step_id],
            )
            if cursor.fetchone() is not None:
                raise ClaimMissed(f"Step {step_id} has been completed.")
        _settle(cursor, END_WAITING, step_id, outcome, actor="executor", was="waiting")
    reach(f"committed:{outcome.event}")


def _settle(
    cursor: Any, statement: str, step_id: UUID, outcome: Outcome, *, was: str = "running", **by: Any
) -> bool:
    """Carries `statement` out; False when its claim is not to be had. `by` are its actor, and the
    fence where it names one. Raises `ClaimMissed` when the step is not what it was."""
    if outcome.status == "failed" and positions.is_undo(rows.lock_run_of(step_id)[1]):
        # That something stays as it was is for people to see, whatever the reason.
        outcome = replace(outcome, status="paused", event="step.paused")
    cursor.execute(statement, _told(outcome) | by | {"step": step_id, "was": was})
    row = cursor.fetchone()
    if row is None:
        raise ClaimMissed(f"There is no step {step_id}.")
    run_id, tenant, seq, has_claim, is_settled = row
    if not has_claim:
        return False
    if not is_settled:
        raise ClaimMissed(f"Step {step_id} is not {was}.")
    if outcome.status in ("in_doubt", "paused", "waiting"):
        rows.say_what_for(cursor, run_id)
    if outcome.status == "waiting" or (outcome.status == "ready" and not outcome.wait_seconds):
        # One that waits may have been completed before its tool came back.
        dispatch.hint("effects", step_id)
    rows.wake_if_over(cursor, run_id)
    # Whoever goes on hears of it before those who only look.
    dispatch.show(tenant, "run", run_id, seq)
    return True


def _told(outcome: Outcome) -> dict[str, Any]:
    """The values by which an outcome is recorded."""
    body = outcome.body | ({} if outcome.error is None else {"error": outcome.error})
    is_over = outcome.status not in ("ready", "waiting")
    return {
        "status": outcome.status,
        "result": outcome.result,
        "error": rows.as_json(outcome.error),
        "failures": int(outcome.is_failure),
        "deaths": int(outcome.is_death),
        "unknowns": int(outcome.is_unknown),
        "cleared": outcome.is_cleared_up,
        "wait": outcome.wait_seconds,
        "ended": list(rows.ENDED_STEP),
        # A paused step is one that is known not to have had its effect.
        "came_to": {"paused": "failed"}.get(outcome.status, outcome.status) if is_over else None,
        "event": outcome.event,
        "body": canonical.encode(body),
        "trace": current_trace_id.get(),
    }
