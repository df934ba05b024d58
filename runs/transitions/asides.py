"""Transitions by which a run is set aside: paused, for whoever asked or until a person has looked;
quarantined."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from runs import canonical, dispatch, journal, prepared
from runs.claims import Held
from runs.points import reach
from runs.steering import in_words
from runs.transitions import rows


def pause(claim: Held) -> None:
    """Pauses a run because somebody asked; lets it go on when they have taken that back."""
    with transaction.atomic(), prepared.cursor() as cursor:
        rows.lock(cursor, claim)
        if rows.asked(cursor, claim.id) == "pause":
            actor, reason = who_asked(cursor, claim.id, "run.pause_requested")
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


def who_asked(cursor: Any, run_id: UUID, kind: str) -> tuple[str, str]:
    """Who asked last for this, and why; from the journal, which only grows."""
    cursor.execute(
        "SELECT actor, body FROM runs_event WHERE run_id = %s AND kind = %s"
        " ORDER BY seq DESC LIMIT 1",
        [run_id, kind],
    )
    row = cursor.fetchone()
    return ("somebody", "") if row is None else (row[0], canonical.decode(row[1])["reason"])
