"""Transitions by which a run comes to its end: what was not started is cancelled, it is undone,
it ends."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from runs import canonical, dispatch, journal, positions, prepared
from runs.claims import Held
from runs.leaving import Steered
from runs.points import reach
from runs.telemetry import current_trace_id
from runs.transitions import rows
from runs.transitions.asides import who_asked

# Steps that an executor has begun, and whose outcome is not known yet; with a `%s` for the run.
IN_FLIGHT = f"""
    SELECT name FROM runs_step WHERE run_id = %s AND position < {positions.UNDO} AND is_remote
        AND (status IN ('running', 'waiting', 'in_doubt') OR status = 'ready' AND attempt > 0)
    ORDER BY position
"""


HAS_FAMILY = """
    (r.parent_id IS NOT NULL OR r.continued_from_id IS NOT NULL
     OR EXISTS (SELECT FROM runs_run c WHERE c.tenant = r.tenant AND c.parent_id = r.id))
"""
END = f"""
    WITH gone AS (
        UPDATE runs_claim SET holder = '', expires_at = NULL WHERE run_id = %s AND fence = %s
    )
    UPDATE runs_run r SET status = %s, result = %s, error = %s,
        finished_at = clock_timestamp(), waiting_for = '', waiting_since = NULL, wake_at = NULL
    WHERE r.id = %s AND r.status = 'running' AND (%s::boolean OR NOT {rows.ENDS})
    RETURNING {HAS_FAMILY}
"""
# The same for a run that ends well and has nothing left to be cancelled, in one statement with
# its event. Where the run is not to end so, its event has no body, which the database refuses, and
# all with it. The run is named by its id: joined with the claim, it would be looked for among all
# that were running lately.
END_WELL = f"""
    WITH head AS (
        UPDATE runs_claim SET last_seq = last_seq + 1, holder = '', expires_at = NULL
        WHERE run_id = %(run)s AND fence = %(fence)s AND expires_at > clock_timestamp()
          AND NOT EXISTS (SELECT FROM runs_step WHERE run_id = %(run)s AND status IN
              ('held', 'ready', 'running', 'waiting', 'in_doubt', 'paused'))
        RETURNING run_id, tenant, last_seq
    ), ended AS (
        UPDATE runs_run r SET status = 'succeeded', result = %(result)s, error = NULL,
            finished_at = clock_timestamp(), waiting_for = '', waiting_since = NULL, wake_at = NULL
        FROM head WHERE r.id = %(run)s AND r.status = 'running' AND NOT {rows.ENDS}
        RETURNING {HAS_FAMILY} AS has_family
    ), event AS (
        INSERT INTO runs_event (tenant, run_id, seq, kind, actor, body, trace_id)
        SELECT tenant, run_id, last_seq, 'run.succeeded', 'worker',
            (SELECT convert_to('{{}}', 'UTF8') FROM ended), %(trace)s
        FROM head
    )
    SELECT head.tenant, head.last_seq, ended.has_family FROM head, ended
"""


def finish_run(
    claim: Held,
    status: str,
    *,
    result: bytes | None = None,
    error: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
) -> None:
    """Ends a run: succeeded, failed, or cancelled; its unstarted steps are cancelled.

    `body` is what the event says beside the error. Raises `Steered` when the run would succeed
    although somebody has asked for its end: what was promised to them is done.
    """
    is_plain = status == "succeeded" and not body and not connection.in_atomic_block
    if is_plain and _end_well(claim, result):
        return
    with transaction.atomic(), prepared.cursor() as cursor:
        said = (body or {}) | ({} if error is None else {"error": error})
        journal.append(claim.id, f"run.{status}", said, actor="worker", fence=claim.fence)
        _cancel_unstarted(cursor, claim)
        _end(cursor, claim, status, result=result, error=error)


def _end_well(claim: Held, result: bytes | None) -> bool:
    """Ends a run that has nothing left to be done; False where it has, or may not end so."""
    values = {
        "run": claim.id,
        "fence": claim.fence,
        "result": result,
        "trace": current_trace_id.get(),
    }
    try:
        with prepared.cursor() as cursor:
            cursor.execute(END_WELL, values)
            row = cursor.fetchone()
    except IntegrityError as refused:
        if not rows.has_no_body(refused):
            raise
        return False
    if row is None:
        return False
    tenant, seq, has_family = row
    dispatch.show(tenant, "run", claim.id, seq)
    _tell_of_end(claim, "succeeded", has_family)
    return True


def terminate(claim: Held) -> None:
    """Ends a run at once, because somebody asked; what is in flight ends by itself."""
    with transaction.atomic(), prepared.cursor() as cursor:
        actor, reason = who_asked(cursor, claim.id, "run.terminate_requested")
        error = {"kind": "Terminated", "message": f"{actor} terminated it: {reason}"}
        cursor.execute(IN_FLIGHT, [claim.id])
        body = {"error": error, "in_flight": [row[0] for row in cursor.fetchall()]}
        journal.append(claim.id, "run.cancelled", body, actor="worker", fence=claim.fence)
        _cancel_unstarted(cursor, claim)
        _end(cursor, claim, "cancelled", error=error)


def end_as_continued(claim: Held, successor: UUID) -> None:
    """Ends a run that goes on in another; a part of the caller's transaction. Raises `Steered`
    as `finish_run` does."""
    with prepared.cursor() as cursor:
        body = {"run": str(successor)}
        journal.append(claim.id, "run.continued", body, actor="worker", fence=claim.fence)
        _cancel_unstarted(cursor, claim)
        _end(cursor, claim, "succeeded", result=canonical.encode({"continued_as": str(successor)}))


def _end(
    cursor: Any,
    claim: Held,
    status: str,
    *,
    result: bytes | None = None,
    error: dict[str, str] | None = None,
) -> None:
    """Ends the run and its claim; raises `Steered` where it would succeed although somebody has
    asked for its end."""
    succeeds = status == "succeeded"
    values = [claim.id, claim.fence, status, result, rows.as_json(error), claim.id, not succeeds]
    cursor.execute(END, values)
    row = cursor.fetchone()
    if row is None and succeeds and rows.is_cancelling(cursor, claim.id):
        raise Steered(rows.asked(cursor, claim.id))
    if row is None:
        raise rows.missed("run", claim.id)
    _tell_of_end(claim, status, row[0])


def _tell_of_end(claim: Held, status: str, has_family: bool) -> None:
    """Once the end is committed; the family last, because to tell it commits more."""
    transaction.on_commit(lambda: reach(f"committed:run.{status}"))
    if has_family:
        transaction.on_commit(lambda: _tell_family(claim.id), robust=True)


def _tell_family(run_id: UUID) -> None:
    """Parent and children hear at once that a run has ended; else a sweep finds them."""
    from runs import children

    children.tell_family(run_id)


def _stop_children(run_id: UUID) -> None:
    """Children are asked to end when their parent begins to; else they are when it has."""
    from runs import children

    children.cancel_children(run_id)


def cancel_unstarted(claim: Held) -> list[str]:
    """Cancels the steps that no executor has started; returns the names of those in flight.

    A step that was attempted and waits to be attempted again is in flight: whether it had
    its effect is not known yet, so it goes on under its key until it is.
    """
    with transaction.atomic(), prepared.cursor() as cursor:
        journal.append(claim.id, "run.cancelling", {}, actor="worker", fence=claim.fence)
        _cancel_unstarted(cursor, claim)
        cursor.execute(IN_FLIGHT, [claim.id])
        in_flight = [row[0] for row in cursor.fetchall()]
    reach("committed:run.cancelling")
    return in_flight


def cancel_paused(claim: Held) -> None:
    """Cancels the steps that were in flight when their run began to end, and are paused by now:
    it is known that nothing of them happened."""
    with transaction.atomic(), prepared.cursor() as cursor:
        rows.lock(cursor, claim)
        _cancel_unstarted(cursor, claim, before=positions.UNDO)
    reach("committed:steps.cancelled")


def begin_undo(claim: Held, status: str, error: dict[str, str] | None) -> None:
    """Decides how a run ends; from now on only what undoes it is begun."""
    ending = {"status": status, "error": error}
    with transaction.atomic(), prepared.cursor() as cursor:
        journal.append(claim.id, "run.undoing", ending, actor="worker", fence=claim.fence)
        cursor.execute(
            "UPDATE runs_run SET ending = %s"
            " WHERE id = %s AND status = 'running' AND ending IS NULL RETURNING tenant",
            [canonical.encode(ending).decode(), claim.id],
        )
        rows.one(cursor, "run", claim.id)
        _cancel_unstarted(cursor, claim)
        transaction.on_commit(lambda: _stop_children(claim.id), robust=True)
    reach("committed:run.undoing")


def _cancel_unstarted(cursor: Any, claim: Held, *, before: int = 2 * positions.UNDO) -> None:
    # A paused step is known not to have happened, so nobody has to say anything about it.
    cursor.execute(
        """
        UPDATE runs_step s SET status = 'cancelled', finished_at = clock_timestamp()
        WHERE s.run_id = %s AND s.position < %s
          AND (s.status IN ('held', 'paused')
               OR NOT s.is_remote AND s.status IN ('waiting', 'ready')
               OR s.status = 'ready' AND s.attempt = 0)
        RETURNING s.id, s.position, s.needs_consent
        """,
        [claim.id, before],
    )
    for id, position, needs_consent in cursor.fetchall():
        journal.append(
            claim.id, "step.cancelled", {}, position=position, actor="worker", fence=claim.fence
        )
        if needs_consent:
            dispatch.hint("gates", id)
