"""Settling a step: people say what became of it, or how it goes on, and it is carried out.

By an executor, or for the steps of a worker by that worker (`local.settle`). For money two people
must say the same; the requester is none of them. What they said is kept for ever, and the database
lets no step leave `in_doubt` or `paused` without it.
"""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from runs import canonical, dispatch, journal, limits, positions, replacing
from runs.errors import (
    ClaimMissed,
    InvalidArguments,
    NotCanonical,
    PayloadTooLarge,
    SettlementRefused,
)
from runs.models import Claim, Settlement, Step
from runs.points import reach
from runs.transitions import rows
from runs.written import check_text

Answer = Settlement.Answer


class Sealer(Protocol):
    """Proves that a signed-in person gave an answer, and knows who may about money."""

    def __call__(
        self, *, step: Step, person: Any, answer: str, reason: str, result: bytes | None
    ) -> bytes:
        """The seal of the answer; raises `SettlementRefused`."""
        ...


_sealer: Sealer | None = None


def plug_sealer(sealer: Sealer | None) -> None:
    """Names who seals answers; without one nobody can settle a doubt."""
    global _sealer
    _sealer = sealer


ANSWERS: dict[str, tuple[Answer, ...]] = {
    Step.Status.IN_DOUBT: (
        Answer.HAPPENED,
        Answer.DID_NOT_HAPPEN,
        Answer.UNDO,
        Answer.GIVE_UP,
    ),
    Step.Status.PAUSED: (
        Answer.RETRY,
        Answer.RETRY_WITH,
        Answer.SKIP,
        Answer.UNDO,
        Answer.GIVE_UP,
    ),
}
"""What people may say of a step, by its status."""

WITH_A_VALUE = (Answer.HAPPENED, Answer.SKIP, Answer.RETRY_WITH)
STATUS_AFTER = {
    Answer.HAPPENED: "succeeded",
    Answer.DID_NOT_HAPPEN: "ready",
    Answer.RETRY: "ready",
    Answer.RETRY_WITH: "cancelled",
    Answer.SKIP: "succeeded",
    Answer.UNDO: "failed",
    Answer.GIVE_UP: "failed",
}


def voices_needed(step: Step) -> int:
    """How many people must say the same about this step."""
    return 2 if step.is_money else 1


def settle(*, step: Step, person: Any, answer: str, reason: str, result: Any = None) -> Settlement:
    """Records what a person says of a step that is in doubt, or paused.

    In doubt: `happened` takes the step's result (any JSON value, such as the provider's
    reference), `did_not_happen` has it run again under its key (unless the run is being
    cancelled: then the step is, too). Paused: `retry` has it run again, `retry_with` takes an
    object of other arguments for a new step in its place, `skip` takes the result to go on with.
    Both: `give_up` fails the step, `undo` has the run end after what it did is undone; a doubt
    stays on record. Raises `SettlementRefused`; then nothing was recorded.
    """
    reason = reason.strip()
    _check_reason(reason)
    try:
        with transaction.atomic():
            Claim.objects.select_for_update(no_key=True).get(run_id=step.run_id)
            now = Step.objects.select_related("run", "declaration").get(pk=step.pk)
            _check_may(now, person, answer)
            encoded = _value(now, answer, result)
            _check_agrees(now, answer, encoded)
            if _sealer is None:
                raise SettlementRefused("This process has no seal, so nobody can settle here.")
            seal = _sealer(step=now, person=person, answer=answer, reason=reason, result=encoded)
            said = Settlement.objects.create(
                tenant=now.tenant,
                step=now,
                attempt=now.attempt,
                person=person,
                answer=answer,
                result=encoded,
                reason=reason,
                seal=seal,
            )
            body = {"answer": answer, "reason": reason, "attempt": now.attempt}
            journal.append(
                now.run_id,
                "settlement.made",
                body,
                position=now.position,
                actor=person.get_username(),
            )
            _tell(now)
    except IntegrityError:
        raise SettlementRefused("You have answered already; one person has one voice.") from None
    transaction.on_commit(lambda: reach("committed:settlement.made"))
    return said


def _tell(step: Step) -> None:
    """Whose turn it is: an executor's, or for a step of the worker that of its run's worker."""
    if step.is_remote:
        dispatch.hint("effects", step.pk)
    elif _agreed(step) is not None:
        with connection.cursor() as cursor:
            rows.wake(cursor, step.run_id)


def _check_reason(reason: str) -> None:
    if not reason:
        raise SettlementRefused("Say how you know it: a reason is needed.")
    check_text(reason, what="reason", most=limits.MAX_REASON_CHARACTERS, refusal=SettlementRefused)


def _check_may(step: Step, person: Any, answer: str) -> None:
    if step.status not in ANSWERS:
        raise SettlementRefused(
            f"The step is {step.get_status_display().lower()}, so there is no doubt to settle."
        )
    if answer not in ANSWERS[step.status]:
        raise SettlementRefused(f"An answer is one of {', '.join(ANSWERS[step.status])}.")
    if step.run.requested_by_id == person.pk:
        raise SettlementRefused("You requested this run, so somebody else must settle it.")


def _value(step: Step, answer: str, given: Any) -> bytes | None:
    """The result, or the other arguments, that an answer takes."""
    if answer not in WITH_A_VALUE:
        return None
    try:
        if answer == Answer.RETRY_WITH:
            return replacing.asked_for(step, given)
        return canonical.encode(given)
    except (NotCanonical, PayloadTooLarge, InvalidArguments) as error:
        raise SettlementRefused(str(error)) from error


def _check_agrees(step: Step, answer: str, value: bytes | None) -> None:
    """Who says the same says it with the same value; otherwise nobody would count."""
    if answer not in WITH_A_VALUE:
        return
    words = {
        Answer.HAPPENED: "that it happened with the result",
        Answer.SKIP: "to go on with the result",
        Answer.RETRY_WITH: "to retry with",
    }[Answer(answer)]
    for said in step.settlements.filter(attempt=step.attempt, answer=answer):
        if bytes(said.result or b"") != value:
            raise SettlementRefused(
                f"{said.person.get_username()} has said {words}"
                f" {bytes(said.result or b'').decode()}; give the same one to confirm it."
            )


def carry_out() -> int:
    """In the executor: settles each of its steps about which enough people have said the same."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT s.id FROM runs_step s
            WHERE s.status IN ('in_doubt', 'paused') AND s.is_remote AND EXISTS (
                SELECT FROM runs_settlement t WHERE t.step_id = s.id AND t.attempt = s.attempt)
            LIMIT %s
            """,
            [limits.SWEEP_BATCH],
        )
        found = [row[0] for row in cursor.fetchall()]
    return sum(carry_out_one(step_id) for step_id in found)


def carry_out_one(step_id: UUID) -> bool:
    """Settles one step of the executor; False while there is nothing to settle, or too few
    people say the same."""
    with transaction.atomic(), connection.cursor() as cursor:
        try:
            rows.lock_run_of(step_id)
        except ClaimMissed:
            return False
        step = Step.objects.get(pk=step_id)
        said = _agreed(step)
        if step.status not in ANSWERS or not step.is_remote or said is None:
            return False
        _apply(cursor, step, said)
    reach("committed:step.settled")
    return True


def agreed_about(step_id: UUID, attempt: int) -> Settlement | None:
    """What enough people have said of an attempt at a step."""
    step = Step.objects.get(pk=step_id)
    step.attempt = attempt
    return _agreed(step)


def _agreed(step: Step) -> Settlement | None:
    """The newest of enough equal answers about the newest attempt."""
    answers = list(step.settlements.filter(attempt=step.attempt).order_by("-at"))
    for said in answers:
        equal = [a for a in answers if a.answer == said.answer and a.result == said.result]
        if len({a.person_id for a in equal}) >= voices_needed(step):
            return said
    return None


def failure(said: Settlement, *, was_in_doubt: bool) -> dict[str, str]:
    """The error of a step that has failed because people said so."""
    if said.answer == Answer.UNDO:
        return {"kind": "UndoAsked", "message": f"To be undone: {said.reason}"}
    doubt = " in doubt" if was_in_doubt else ""
    return {"kind": "GivenUp", "message": f"Given up{doubt}: {said.reason}"}


def _apply(cursor: Any, step: Step, said: Settlement) -> None:
    status = STATUS_AFTER[Answer(said.answer)]
    is_ending = rows.is_cancelling(cursor, step.run_id) and not positions.is_undo(step.position)
    error = None
    if status == "failed":
        error = failure(said, was_in_doubt=step.status == Step.Status.IN_DOUBT)
    elif said.answer == Answer.RETRY_WITH:
        error = replacing.REPLACED
    elif status == "ready" and is_ending:
        status = "cancelled"
    journal.append(
        step.run_id,
        "step.settled",
        {"answer": said.answer, "status": status},
        position=step.position,
        actor="executor",
    )
    cursor.execute(
        """
        UPDATE runs_step SET status = %(status)s, failures = 0, error = %(error)s,
            result = %(result)s,
            deaths = CASE WHEN %(status)s = 'ready' THEN 0 ELSE deaths END,
            unknowns = CASE WHEN %(status)s = 'ready' THEN 0 ELSE unknowns END,
            give_up_at = CASE WHEN %(status)s = 'ready' THEN NULL ELSE give_up_at END,
            finished_at = CASE WHEN %(status)s <> 'ready' THEN clock_timestamp() END
        WHERE id = %(step)s AND status = %(was)s
        """,
        {
            "status": status,
            "result": said.result if status == "succeeded" else None,
            "error": rows.as_json(error),
            "step": step.pk,
            "was": step.status,
        },
    )
    _apply_to_effect(cursor, step, said, status)
    if status == "ready":
        dispatch.hint("effects", step.pk)
    if said.answer in (Answer.RETRY_WITH, Answer.UNDO):
        # Not only when all else has ended: the worker has something to begin.
        rows.wake(cursor, step.run_id)
    rows.wake_if_over(cursor, step.run_id)
    rows.say_what_for(cursor, step.run_id, otherwise="a step of the executor")


def _apply_to_effect(cursor: Any, step: Step, said: Settlement, status: str) -> None:
    """A paused step's effect is known not to have happened; a doubt that is given up stays one."""
    effect = {
        Answer.HAPPENED: "succeeded",
        Answer.DID_NOT_HAPPEN: "failed" if status == "cancelled" else "intended",
        Answer.RETRY: "failed" if status == "cancelled" else "intended",
    }.get(Answer(said.answer))
    if effect is None or step.effect == "safe":
        return
    cursor.execute(
        "UPDATE runs_effect SET status = %s, settled_at = clock_timestamp()"
        " WHERE tenant = %s AND tool = %s AND key = %s",
        [effect, step.tenant, step.name, step.key],
    )
