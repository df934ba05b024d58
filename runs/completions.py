"""Completing a step from outside: its tool has left, and somebody else knows what became of it.

Who has the token may say it, once. The web writes it down, an executor carries it out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from runs import canonical, dispatch, journal, limits, transitions
from runs.beats import outside_of_loops
from runs.claims import Held
from runs.declare import shortened
from runs.errors import ClaimMissed, CompletionRefused, Fenced, NotCanonical
from runs.models import Claim, Completion, Step, StepClaim
from runs.points import reach
from runs.transitions import Outcome

WRONG = "This token completes nothing: it is wrong, or its step has been tried again since."


def issue(held: Held, attempt: int, within_seconds: float | None) -> str:
    """The token with which this attempt is completed; only its hash is kept. Raises `Fenced`."""
    if within_seconds is not None and not 0 < within_seconds <= limits.MAX_SLEEP_SECONDS:
        raise ValueError(
            f"A completion comes within more than 0 and at most {limits.MAX_SLEEP_SECONDS} seconds."
        )
    token = f"{held.id}.{attempt}.{secrets.token_urlsafe(32)}"

    def keep() -> tuple[Any, ...] | None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE runs_stepclaim SET token_hash = %s WHERE step_id = %s AND fence = %s"
                " AND expires_at > clock_timestamp() RETURNING step_id",
                [_hash(token), held.id, held.fence],
            )
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row

    if outside_of_loops(keep) is None:
        raise Fenced(f"The claim on step {held.id} is lost.")
    reach("committed:completion.issued")
    return token


def complete(
    token: str, *, result: Any = None, error: str | None = None, actor: str = "outside"
) -> Completion:
    """Says what became of the step that this token is for: a JSON value, or an error's message.

    An error is a definitive no: the step fails. Raises `CompletionRefused` when the token is
    wrong, was used, or the step does not wait any more; then nothing was recorded.
    """
    step_id, attempt = _parsed(token)
    encoded = None if error is not None else _encoded(result)
    step = Step.objects.filter(pk=step_id).first()
    if step is None:
        raise CompletionRefused(WRONG)
    try:
        with transaction.atomic():
            Claim.objects.select_for_update(no_key=True).get(run_id=step.run_id)
            step.refresh_from_db()
            _check(step, attempt, token)
            _show(token)
            told = Completion.objects.create(
                tenant=step.tenant,
                step=step,
                attempt=attempt,
                result=encoded,
                error=None if error is None else _failure(error),
            )
            body = {"attempt": attempt, "succeeded": error is None}
            journal.append(
                step.run_id, "completion.made", body, position=step.position, actor=actor[:150]
            )
            dispatch.hint("effects", step.pk)
    except IntegrityError:
        raise CompletionRefused("This token has been used: the step is completed.") from None
    reach("committed:completion.made")
    return told


def carry_out() -> int:
    """In the executor: ends each step that waits and has been completed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT s.id FROM runs_step s
            WHERE s.status = 'waiting' AND s.is_remote AND EXISTS (
                SELECT FROM runs_completion c WHERE c.step_id = s.id AND c.attempt = s.attempt)
            LIMIT %s
            """,
            [limits.SWEEP_BATCH],
        )
        found = [row[0] for row in cursor.fetchall()]
    return sum(carry_out_one(step_id) for step_id in found)


def carry_out_one(step_id: UUID) -> bool:
    """Ends one step; False while it does not wait, or nobody has completed it."""
    step = Step.objects.filter(pk=step_id, status="waiting", is_remote=True).first()
    told = step and step.completions.filter(attempt=step.attempt).first()
    if not told:
        return False
    status = "succeeded" if told.error is None else "failed"
    outcome = Outcome(
        status=status,
        event=f"step.{status}",
        result=told.result if told.result is None else bytes(told.result),
        error=told.error,
        is_failure=told.error is not None,
        body={"completed": "outside"},
    )
    try:
        transitions.end_waiting(step_id, outcome)
    except ClaimMissed:
        return False
    return True


def _check(step: Step, attempt: int, token: str) -> None:
    claim = StepClaim.objects.filter(step=step).first()
    kept = b"" if claim is None else bytes(claim.token_hash or b"")
    if not hmac.compare_digest(kept, _hash(token)) or step.attempt != attempt:
        raise CompletionRefused(WRONG)
    if step.completions.filter(attempt=attempt).exists():
        raise CompletionRefused("This token has been used: the step is completed.")
    if step.status not in (Step.Status.RUNNING, Step.Status.WAITING):
        raise CompletionRefused(
            f"The step is {step.get_status_display().lower()}: it does not wait to be completed."
        )


def _show(token: str) -> None:
    """To the database, for this transaction: it takes no completion without the token itself."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('placet.completion', %s, true)", [token])


def _parsed(token: str) -> tuple[UUID, int]:
    step_id, _, rest = token.partition(".")
    attempt = rest.partition(".")[0]
    try:
        if len(token) <= 200 and attempt.isdecimal() and len(attempt) < 10:
            return UUID(step_id), int(attempt)
    except ValueError:
        pass
    raise CompletionRefused(WRONG)


def _encoded(result: Any) -> bytes:
    try:
        return canonical.encode(result)
    except NotCanonical as error:
        raise CompletionRefused(str(error)) from error


def _failure(message: str) -> dict[str, str]:
    said = message.replace("\0", "\ufffd").strip() or "It failed, and no reason was given."
    return {"kind": "CompletedWithError", "message": shortened(said)}


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
