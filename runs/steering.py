"""Steering: what people ask of a run under way. They ask; a worker carries it out.

Each verb is one transaction under the run's lock, and one event with who asked and why. What
has ended cannot be steered; what was asked before is not asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from runs import dispatch, journal, limits
from runs.errors import AlreadyEnded, SteeringRefused
from runs.models import Claim, Run, Step
from runs.points import reach
from runs.written import check_text

HINTS = 8
"""Steps of a resumed run that executors hear of at once; whoever hears goes on with the rest."""

PAUSED_BY = "somebody to resume it: {} paused it, because: {}"


def request_cancel(*, run: Run, actor: str, reason: str = "") -> bool:
    """Asks for the end of a run; False when it was asked before.

    Steps that no executor has started are cancelled, one in flight ends first, and what has
    succeeded is undone where its tool says how. A paused or quarantined run goes on with that.
    Raises `AlreadyEnded` or `SteeringRefused`.
    """
    reason = check_reason(reason, is_needed=False)
    with _steering(run, "cancel") as now:
        if now.cancel_requested_at is not None or now.terminate_requested_at is not None:
            _refuse_if_paused_while_it_ends(now)
            return False
        if now.ending is not None:
            raise SteeringRefused(
                "The run ends already, and what it did is being undone;"
                " only terminating it ends that."
            )
        _change(
            """
            UPDATE runs_run SET cancel_requested_at = clock_timestamp(), cancel_requested_by = %s,
                steered_because = %s, pause_requested_at = NULL,
                status = CASE WHEN status IN ('waiting', 'paused', 'quarantined') THEN 'ready'
                         ELSE status END
            WHERE id = %s
            """,
            [actor[:150], reason or None, run.pk],
        )
        _say(now, "cancel_requested", {"reason": reason} if reason else {}, actor)
        dispatch.hint("runs", run.pk)
    return True


def pause(*, run: Run, actor: str, reason: str) -> bool:
    """Stops a run until somebody resumes it; False when it was paused before.

    Nothing new of it starts: a run that is running stops at its next step, any other at once.
    Attempts in flight end and are recorded, gates can be decided, and no timer fires.
    Raises `AlreadyEnded` or `SteeringRefused`.
    """
    reason = check_reason(reason, is_needed=True)
    with _steering(run, "pause") as now:
        if now.terminate_requested_at is not None:
            raise SteeringRefused("The run is being terminated, so there is nothing to pause.")
        if now.status == Run.Status.QUARANTINED:
            raise SteeringRefused("The run is quarantined, so nothing of it goes on to be paused.")
        if now.status == Run.Status.PAUSED or now.pause_requested_at is not None:
            return False
        is_busy = now.status == Run.Status.RUNNING
        _change(
            """
            UPDATE runs_run SET pause_requested_at = clock_timestamp(), steered_because = %s
            WHERE id = %s
            """
            if is_busy
            else """
            UPDATE runs_run SET pause_requested_at = clock_timestamp(), steered_because = %s,
                status = 'paused', waiting_for = %s, waiting_since = clock_timestamp(),
                wake_at = NULL
            WHERE id = %s
            """,
            [reason, *([] if is_busy else [in_words(actor, reason)]), run.pk],
        )
        _say(now, "pause_requested" if is_busy else "paused", {"reason": reason}, actor)
    return True


def resume(*, run: Run, actor: str, reason: str = "") -> bool:
    """Has a paused or quarantined run go on; everything about it is looked at again.

    Also takes back a pause that has not taken effect. Raises `AlreadyEnded`, or
    `SteeringRefused` when the run is not paused. Always True.
    """
    reason = check_reason(reason, is_needed=False)
    with _steering(run, "resume") as now:
        is_set_aside = now.status in (Run.Status.PAUSED, Run.Status.QUARANTINED)
        if not is_set_aside and now.pause_requested_at is None:
            raise SteeringRefused(
                f"The run is {now.get_status_display().lower()}, so there is nothing to resume."
            )
        _change(
            """
            UPDATE runs_run SET pause_requested_at = NULL,
                steered_because = CASE WHEN cancel_requested_at IS NULL THEN NULL
                                  ELSE steered_because END,
                status = CASE WHEN status IN ('paused', 'quarantined') THEN 'ready'
                         ELSE status END
            WHERE id = %s
            """,
            [run.pk],
        )
        _say(now, "resumed", {"reason": reason} if reason else {}, actor)
        dispatch.hint("runs", run.pk)
        begun = Step.objects.filter(run=run, is_remote=True, status=Step.Status.READY)
        for step_id in begun.order_by("position").values_list("pk", flat=True)[:HINTS]:
            dispatch.hint("effects", step_id)
    return True


def terminate(*, run: Run, actor: str, reason: str) -> bool:
    """Ends a run now: nothing is undone, and nothing in flight is waited for; False when it
    was asked before.

    Steps that no executor has started are cancelled. One in flight is left to end by itself
    and is still recorded; one in doubt stays in doubt until people settle it.
    Raises `AlreadyEnded` or `SteeringRefused`.
    """
    reason = check_reason(reason, is_needed=True)
    with _steering(run, "terminate") as now:
        if now.terminate_requested_at is not None:
            return False
        _change(
            """
            UPDATE runs_run SET terminate_requested_at = clock_timestamp(), steered_because = %s,
                status = CASE WHEN status IN ('waiting', 'paused', 'quarantined') THEN 'ready'
                         ELSE status END
            WHERE id = %s
            """,
            [reason, run.pk],
        )
        _say(now, "terminate_requested", {"reason": reason}, actor)
        dispatch.hint("runs", run.pk)
    return True


def check_reason(reason: str, *, is_needed: bool) -> str:
    """The reason as it is kept; raises `SteeringRefused` where it is none."""
    reason = reason.strip()
    if is_needed and not reason:
        raise SteeringRefused("Say why: a reason is needed.")
    check_text(reason, what="reason", most=limits.MAX_REASON_CHARACTERS, refusal=SteeringRefused)
    return reason


def in_words(actor: str, reason: str) -> str:
    """What a run that somebody paused waits for."""
    return PAUSED_BY.format(actor, reason)[:255]


@contextmanager
def _steering(run: Run, verb: str) -> Iterator[Run]:
    """The run as it is now, under its lock, which the verb holds until it has committed."""
    with transaction.atomic():
        Claim.objects.select_for_update(no_key=True).get(run=run)
        now = Run.objects.get(pk=run.pk)
        if now.finished_at is not None:
            raise AlreadyEnded(
                f"The run has already {now.get_status_display().lower()},"
                f" so there is nothing to {verb}."
            )
        yield now


def _refuse_if_paused_while_it_ends(run: Run) -> None:
    if run.status == Run.Status.PAUSED:
        raise SteeringRefused(
            "The run is being cancelled already, and is paused;"
            " once somebody resumes it, it goes on with that."
        )


def _change(sql: str, values: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def _say(run: Run, what: str, body: dict[str, Any], actor: str) -> None:
    journal.append(run.pk, f"run.{what}", body, actor=actor)
    transaction.on_commit(lambda: reach(f"committed:run.{what}"))
