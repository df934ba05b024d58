"""Transitions by which a run stops: paused, set aside, undone, ended."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from runs import canonical, dispatch, journal, positions, prepared
from runs.claims import Held
from runs.leaving import Steered
from runs.points import reach
from runs.steering import in_words
from runs.transitions import rows

# Steps that an executor has begun, and whose outcome is not known yet; with a `%s` for the run.
IN_FLIGHT = f"""
    SELECT name FROM runs_step WHERE run_id = %s AND position < {positions.UNDO} AND is_remote
        AND (status IN ('running', 'waiting', 'in_doubt') OR status = 'ready' AND attempt > 0)
    ORDER BY position
"""


END = f"""
    WITH gone AS (
        UPDATE runs_claim SET holder = '', expires_at = NULL WHERE run_id = %s AND fence = %s
    )
    UPDATE runs_run r SET status = %s, result = %s, error = %s,
        finished_at = clock_timestamp(), waiting_for = '', waiting_since = NULL, wake_at = NULL
    WHERE r.id = %s AND r.status = 'running' AND (%s::boolean OR NOT {rows.ENDS})
    RETURNING parent_id IS NOT NULL OR continued_from_id IS NOT NULL
        OR EXISTS (SELECT FROM runs_run c WHERE c.tenant = r.tenant AND c.parent_id = r.id)
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
    with transaction.atomic(), prepared.cursor() as cursor:
        said = (body or {}) | ({} if error is None else {"error": error})
        journal.append(claim.id, f"run.{status}", said, actor="worker", fence=claim.fence)
        _cancel_unstarted(cursor, claim)
        _end(cursor, claim, status, result=result, error=error)


def terminate(claim: Held) -> None:
    """Ends a run at once, because somebody asked; what is in flight ends by itself."""
    with transaction.atomic(), prepared.cursor() as cursor:
        actor, reason = _who_asked(cursor, claim.id, "run.terminate_requested")
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
    (has_family,) = row
    # Before the family is told, which commits more.
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


def pause(claim: Held) -> None:
    """Pauses a run because somebody asked; lets it go on when they have taken that back."""
    with transaction.atomic(), prepared.cursor() as cursor:
        rows.lock(cursor, claim)
        if rows.asked(cursor, claim.id) == "pause":
            actor, reason = _who_asked(cursor, claim.id, "run.pause_requested")
            _set_aside(cursor, claim, {"by": actor, "reason": reason}, in_words(actor, reason))
        else:
            cursor.execute(
                "UPDATE runs_run SET status = 'ready' WHERE id = %s AND status = 'running'",
                [claim.id],
            )
            rows.let_go(cursor, claim)
            dispatch.hint("runs", claim.id)
    reach("committed:run.paused")


def pause_for_a_person(claim: Held, waiting_for: str, body: dict[str, Any]) -> None:
    """Pauses a run that cannot go on until a person has looked; says what for, in words."""
    with transaction.atomic(), prepared.cursor() as cursor:
        _set_aside(cursor, claim, body, waiting_for[:255])
    reach("committed:run.paused")


def _set_aside(cursor: Any, claim: Held, body: dict[str, Any], waiting_for: str) -> None:
    journal.append(claim.id, "run.paused", body, actor="worker", fence=claim.fence)
    cursor.execute(
        """
        UPDATE runs_run SET status = 'paused', waiting_for = %s,
            waiting_since = clock_timestamp(), wake_at = NULL
        WHERE id = %s AND status = 'running' RETURNING tenant
        """,
        [waiting_for, claim.id],
    )
    rows.one(cursor, "run", claim.id)
    rows.let_go(cursor, claim)


def quarantine(run_id: UUID, because: dict[str, str], *, claim: Held | None = None) -> None:
    """Sets a run aside for a person, with the reason in words; nothing of it runs any more."""
    with transaction.atomic(), prepared.cursor() as cursor:
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


def _who_asked(cursor: Any, run_id: UUID, kind: str) -> tuple[str, str]:
    """Who asked last for this, and why; from the journal, which only grows."""
    cursor.execute(
        "SELECT actor, body FROM runs_event WHERE run_id = %s AND kind = %s"
        " ORDER BY seq DESC LIMIT 1",
        [run_id, kind],
    )
    row = cursor.fetchone()
    return ("somebody", "") if row is None else (row[0], canonical.decode(row[1])["reason"])
