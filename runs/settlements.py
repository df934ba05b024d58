"""Settling a doubt: people say what became of an attempt, and an executor carries it out.

For money two people must say the same; the requester is none of them. What they said is
kept for ever, and the database lets no step leave `in_doubt` without it.
"""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from runs import canonical, dispatch, journal, limits
from runs.errors import ClaimMissed, NotCanonical, SettlementRefused
from runs.models import Claim, Settlement, Step
from runs.points import reach
from runs.transitions import rows

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


ABOUT_A_DOUBT = (Answer.HAPPENED, Answer.DID_NOT_HAPPEN, Answer.GIVE_UP)
STATUS_AFTER = {
    Answer.HAPPENED: "succeeded",
    Answer.DID_NOT_HAPPEN: "ready",
    Answer.GIVE_UP: "failed",
}


def voices_needed(step: Step) -> int:
    """How many people must say the same about this step."""
    return 2 if step.is_money else 1


def settle(*, step: Step, person: Any, answer: str, reason: str, result: Any = None) -> Settlement:
    """Records what a person says became of the attempt that is in doubt.

    `happened` takes the step's result (any JSON value, such as the provider's reference),
    `did_not_happen` has it run again under its key (unless the run is being cancelled: then
    the step is, too), `give_up` fails the step and leaves the
    doubt on record. Raises `SettlementRefused`; then nothing was recorded.
    """
    reason = reason.strip()
    encoded = _checked(answer, reason, result)
    try:
        with transaction.atomic():
            Claim.objects.select_for_update(no_key=True).get(run_id=step.run_id)
            now = Step.objects.select_related("run").get(pk=step.pk)
            _check_may(now, person)
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
            dispatch.hint("effects", now.pk)
    except IntegrityError:
        raise SettlementRefused("You have answered already; one person has one voice.") from None
    transaction.on_commit(lambda: reach("committed:settlement.made"))
    return said


def _checked(answer: str, reason: str, result: Any) -> bytes | None:
    if answer not in ABOUT_A_DOUBT:
        raise SettlementRefused(f"An answer is one of {', '.join(ABOUT_A_DOUBT)}.")
    if not reason:
        raise SettlementRefused("Say how you know it: a reason is needed.")
    if len(reason) > limits.MAX_REASON_CHARACTERS:
        raise SettlementRefused(
            f"The reason is {len(reason)} characters long; at most"
            f" {limits.MAX_REASON_CHARACTERS} are kept."
        )
    if "\0" in reason:
        raise SettlementRefused("The reason holds a NUL character, which cannot be kept.")
    if answer != Answer.HAPPENED:
        return None
    try:
        return canonical.encode(result)
    except NotCanonical as error:
        raise SettlementRefused(str(error)) from error


def _check_may(step: Step, person: Any) -> None:
    if step.status != Step.Status.IN_DOUBT:
        raise SettlementRefused(
            f"The step is {step.get_status_display().lower()}, so there is no doubt to settle."
        )
    if step.run.requested_by_id == person.pk:
        raise SettlementRefused("You requested this run, so somebody else must settle it.")


def _check_agrees(step: Step, answer: str, result: bytes | None) -> None:
    """Who confirms that it happened confirms the same result; otherwise nobody would count."""
    for said in step.settlements.filter(attempt=step.attempt, answer=Answer.HAPPENED):
        if answer == Answer.HAPPENED and bytes(said.result or b"") != result:
            raise SettlementRefused(
                f"{said.person.get_username()} has said that it happened with the result"
                f" {bytes(said.result or b'').decode()}; give the same one to confirm it."
            )


def carry_out() -> int:
    """In the executor: settles each step in doubt about which enough people have said the same."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT s.id FROM runs_step s
            WHERE s.status = 'in_doubt' AND EXISTS (
                SELECT FROM runs_settlement t WHERE t.step_id = s.id AND t.attempt = s.attempt)
            LIMIT %s
            """,
            [limits.SWEEP_BATCH],
        )
        found = [row[0] for row in cursor.fetchall()]
    return sum(carry_out_one(step_id) for step_id in found)


def carry_out_one(step_id: UUID) -> bool:
    """Settles one step; False while it is not in doubt, or too few people say the same."""
    with transaction.atomic(), connection.cursor() as cursor:
        try:
            rows.lock_run_of(step_id)
        except ClaimMissed:
            return False
        step = Step.objects.get(pk=step_id)
        said = _agreed(step)
        if step.status != Step.Status.IN_DOUBT or said is None:
            return False
        _apply(cursor, step, said)
    reach("committed:step.settled")
    return True


def _agreed(step: Step) -> Settlement | None:
    """The newest of enough equal answers about the attempt in doubt."""
    answers = list(step.settlements.filter(attempt=step.attempt).order_by("-at"))
    for said in answers:
        equal = [a for a in answers if a.answer == said.answer and a.result == said.result]
        if len({a.person_id for a in equal}) >= voices_needed(step):
            return said
    return None


def _apply(cursor: Any, step: Step, said: Settlement) -> None:
    status = STATUS_AFTER[Answer(said.answer)]
    if status == "ready" and rows.is_cancelling(cursor, step.run_id):
        status = "cancelled"
    error = {"kind": "GivenUp", "message": f"Given up in doubt: {said.reason}"}
    journal.append(
        step.run_id,
        "step.settled",
        {"answer": said.answer, "status": status},
        position=step.position,
        actor="executor",
    )
    cursor.execute(
        """
        UPDATE runs_step SET status = %(status)s, result = %(result)s, failures = 0,
            error = CASE WHEN %(status)s = 'failed' THEN %(error)s::jsonb END,
            finished_at = CASE WHEN %(status)s <> 'ready' THEN clock_timestamp() END
        WHERE id = %(step)s AND status = 'in_doubt'
        """,
        {
            "status": status,
            "result": said.result,
            "error": rows.as_json(error),
            "step": step.pk,
        },
    )
    if said.answer != Answer.GIVE_UP:
        cursor.execute(
            "UPDATE runs_effect SET status = %s, settled_at = clock_timestamp()"
            " WHERE tenant = %s AND tool = %s AND key = %s",
            [
                {"succeeded": "succeeded", "cancelled": "failed"}.get(status, "intended"),
                step.tenant,
                step.name,
                step.key,
            ],
        )
    if status == "ready":
        dispatch.hint("effects", step.pk)
    rows.wake_if_over(cursor, step.run_id)
