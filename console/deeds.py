"""What people do: the right, the domain call and the audit entry, in one transaction.

Pages, API and commands translate; each of them makes one call here. The rooms below do
not know of roles, and the audit does not know of runs, so this is where they meet.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal

from django.db import transaction
from django.http import HttpRequest

from approvals.decisions import decide, look, revoke
from approvals.models import Batch, Decision, Revocation
from approvals.signing import Signed
from console import access, audit
from console.models import User
from runs import bulk, forks, questions, signals, steering
from runs.errors import SettlementRefused
from runs.lifecycle import start_run
from runs.models import Claim, Run, Settlement, Signal
from runs.settlements import settle as settle_step

Verdict = Literal["approve", "deny", "changes"]
Answer = Literal["happened", "did_not_happen", "retry", "retry_with", "skip", "undo", "give_up"]
Verb = bulk.Verb
"""What people may ask of a run under way: to be paused, resumed, cancelled, terminated."""
NEED_A_REASON: tuple[Verb, ...] = ("pause", "terminate")
STEERED: dict[Verb, str] = {
    "cancel": "cancel_requested",
    "pause": "run_paused",
    "resume": "run_resumed",
    "terminate": "terminate_requested",
}


def start(
    person: User,
    *,
    workflow: str,
    input: dict[str, Any],
    idempotency_key: str | None = None,
    actor: str = "",
    request: HttpRequest | None = None,
) -> tuple[Run, bool]:
    """The started run, and whether this call created it (else the key had done so before).

    `actor` is whom the audit names, where that is not the person. Raises
    `access.Forbidden`, and whatever `runs.lifecycle.start_run` refuses with.
    """
    access.require(person, "runs.start")
    with transaction.atomic():
        run, was_created = start_run(
            tenant=person.tenant,
            workflow=workflow,
            input=input,
            requested_by=person,
            idempotency_key=idempotency_key,
        )
        if was_created:
            audit.record(
                person=person,
                actor=actor,
                action="run_started",
                subject=f"Run of {workflow}",
                subject_id=run.id,
                request=request,
            )
    return run, was_created


def steer(
    person: User,
    run_id: uuid.UUID | str,
    verb: Verb,
    *,
    reason: str = "",
    actor: str = "",
    request: HttpRequest | None = None,
) -> tuple[Run, bool]:
    """The run, and whether this call asked it of it; asking twice is asking once.

    Raises `access.Forbidden`, `access.NotFound`, `runs.errors.AlreadyEnded` and
    `runs.errors.SteeringRefused`.
    """
    run = access.access_run_by_id(person, run_id, right="runs.cancel")
    ask = {
        "cancel": steering.request_cancel,
        "pause": steering.pause,
        "resume": steering.resume,
        "terminate": steering.terminate,
    }[verb]
    with transaction.atomic():
        was_asked = ask(run=run, actor=actor or person.get_username(), reason=reason)
        if was_asked:
            audit.record(
                person=person,
                actor=actor,
                action=STEERED[verb],
                subject=f"Run of {run.workflow}",
                subject_id=run.id,
                detail={"reason": reason} if reason else {},
                request=request,
            )
    run.refresh_from_db()
    return run, was_asked


def find_for_bulk(person: User, filter: bulk.Filter) -> bulk.Found:
    """What a bulk action over this filter would steer. Raises `runs.errors.BulkRefused`."""
    access.require(person, "runs.cancel")
    return bulk.find(tenant=person.tenant, filter=filter)


def steer_many(
    person: User,
    filter: bulk.Filter,
    verb: Verb,
    *,
    fingerprint: str,
    reason: str = "",
    actor: str = "",
    request: HttpRequest | None = None,
) -> bulk.Applied:
    """Steer exactly the runs that were counted; one audit entry, and one event a run.

    Each run has a transaction of its own, so the audit says beforehand what was asked; what
    became of each run is in its journal. Raises `runs.errors.BulkRefused` and
    `runs.errors.SteeringRefused`; then nothing was done.
    """
    found = find_for_bulk(person, filter)
    steering.check_reason(reason, is_needed=verb in NEED_A_REASON)
    if found.fingerprint == fingerprint:
        shown = {name: str(value) for name, value in vars(filter).items() if value}
        audit.record(
            person=person,
            actor=actor,
            action="bulk_steered",
            subject=f"{found.count} runs: {verb}",
            detail={"verb": verb, "count": found.count, "filter": shown, "reason": reason},
            request=request,
        )
    return bulk.apply(
        tenant=person.tenant,
        filter=filter,
        fingerprint=fingerprint,
        verb=verb,
        actor=actor or person.get_username(),
        reason=reason,
    )


def fork(
    person: User,
    run_id: uuid.UUID | str,
    *,
    at: int,
    input: dict[str, Any] | None = None,
    actor: str = "",
    request: HttpRequest | None = None,
) -> Run:
    """A new run of this person that begins where another one was before step `at`.

    Raises `access.Forbidden`, `access.NotFound`, and whatever `runs.forks.fork` refuses with.
    """
    origin = access.access_run_by_id(person, run_id, right="runs.start")
    with transaction.atomic():
        run = forks.fork(run=origin, at=at, requested_by=person, input=input)
        audit.record(
            person=person,
            actor=actor,
            action="run_forked",
            subject=f"Run of {run.workflow}",
            subject_id=run.id,
            detail={"from": str(origin.id), "at": at, "other_input": input is not None},
            request=request,
        )
    return run


def send_signal(
    person: User,
    run_id: uuid.UUID | str,
    *,
    name: str,
    payload: Any,
    dedup_key: str | None = None,
    actor: str = "",
    request: HttpRequest | None = None,
) -> tuple[Signal, bool]:
    """The message in the run's mailbox, and whether this call put it there.

    Raises `access.Forbidden`, `access.NotFound`, and what `runs.signals` refuses with.
    """
    run = access.access_run_by_id(person, run_id, right="runs.signal")
    with transaction.atomic():
        signal, is_new = signals.send_signal(
            run_id=run.id,
            tenant=person.tenant,
            name=name,
            payload=payload,
            sender=actor or person.get_username(),
            dedup_key=dedup_key,
        )
        if is_new:
            audit.record(
                person=person,
                actor=actor,
                action="signal_sent",
                subject=f"Signal {name} to a run of {run.workflow}",
                subject_id=signal.run_id,
                detail={"name": name},
                request=request,
            )
    return signal, is_new


def answer_question(
    person: User,
    run_id: uuid.UUID | str,
    position: int,
    *,
    values: Any,
    request: HttpRequest | None = None,
) -> Signal:
    """Answer what a run asks. Raises `access.Forbidden`, `access.NotFound`,
    `runs.errors.InvalidInput` and `runs.errors.AlreadyEnded`."""
    step = access.access_step(person, run_id, position, right="questions.answer")
    with transaction.atomic():
        answered = questions.answer(step=step, person=person, values=values)
        audit.record(
            person=person,
            action="question_answered",
            subject=f"Question of {step.run.workflow}",
            subject_id=step.id,
            detail={"run": str(step.run_id), "position": step.position},
            request=request,
        )
    return answered


def decide_at_gate(
    person: User,
    gate_id: uuid.UUID | str,
    *,
    verdict: Verdict,
    reason: str,
    digest: str,
    typed: str = "",
    signed: Signed | None = None,
    batch: Batch | None = None,
    request: HttpRequest | None = None,
) -> Decision:
    """Record this person's verdict over the digest that they saw, given in hexadecimal.

    `signed` is what a key of theirs answered, and `typed` the fact that they typed, where the
    gate's tier asks for them; `batch` is the list that was confirmed, see `console.batching`.
    Raises `access.Forbidden`, `access.NotFound` and `approvals.errors.DecisionRefused`.
    """
    gate = access.access_gate_by_id(person, gate_id, right="gates.decide")
    if verdict == "approve":
        # Where a rule wants it looked at for a while, that begins with the first try at the latest.
        look(gate, person)
    with transaction.atomic():
        # The run's lock, before looking: else two equal calls at once would both be audited.
        Claim.objects.select_for_update(no_key=True).get(run_id=gate.run_id)
        was_decided = Decision.objects.filter(gate=gate, person=person).exists()
        decision = decide(
            gate_id=gate.id,
            tenant=person.tenant,
            person=person,
            verdict=verdict,
            reason=reason,
            digest=digest,
            typed_fact=typed,
            signed=signed,
            batch=batch,
        )
        if not was_decided:
            audit.record(
                person=person,
                action="decided",
                subject=f"Gate of {gate.tool}",
                subject_id=gate.id,
                detail={
                    "verdict": verdict,
                    "amount_minor": gate.amount_minor,
                    "currency": gate.currency,
                    "payee": gate.payee,
                    "payee_name": gate.payee_name,
                    "digest": digest,
                    "run": str(gate.run_id),
                    **({"batch": str(batch.pk), "of": batch.size} if batch else {}),
                },
                request=request,
            )
    return decision


def look_at_gate(person: User, gate_id: uuid.UUID | str) -> None:
    """Notes since when this person, if they may decide, has had the request before them.

    Raises `access.Forbidden` and `access.NotFound`.
    """
    gate = access.access_gate_by_id(person, gate_id, right="gates.decide")
    look(gate, person)


def take_back(
    person: User, gate_id: uuid.UUID | str, *, reason: str, request: HttpRequest | None = None
) -> Revocation:
    """Take this person's approval back, which works until the step is claimed.

    Raises `access.Forbidden`, `access.NotFound` and `approvals.errors.DecisionRefused`.
    """
    gate = access.access_gate_by_id(person, gate_id, right="gates.decide")
    with transaction.atomic():
        Claim.objects.select_for_update(no_key=True).get(run_id=gate.run_id)
        was_revoked = Revocation.objects.filter(
            decision__gate=gate, decision__person=person
        ).exists()
        revocation = revoke(gate_id=gate.id, tenant=person.tenant, person=person, reason=reason)
        if not was_revoked:
            audit.record(
                person=person,
                action="approval_revoked",
                subject=f"Gate of {gate.tool}",
                subject_id=gate.id,
                detail={"reason": revocation.reason, "run": str(gate.run_id)},
                request=request,
            )
    return revocation


def settle(
    person: User,
    run_id: uuid.UUID | str,
    position: int,
    *,
    answer: Answer,
    reason: str,
    result: Any = None,
    attempt: int | None = None,
    request: HttpRequest | None = None,
) -> Settlement:
    """Record what this person says of a step that is in doubt, or paused.

    `result` is what `happened` and `skip` give to the workflow, or the other arguments of
    `retry_with`.

    `attempt` is the one that the person looked up: what they found out about it says
    nothing of a later one. Raises `access.Forbidden`, `access.NotFound`,
    `runs.errors.SettlementRefused`, and `runs.errors.PayloadTooLarge` for the result.
    """
    step = access.access_step(person, run_id, position, right="steps.settle")
    with transaction.atomic():
        # The run's lock, before looking: else a new attempt could begin after the look.
        Claim.objects.select_for_update(no_key=True).get(run_id=step.run_id)
        step.refresh_from_db(fields=["attempt"])
        if attempt not in (None, step.attempt):
            raise SettlementRefused(
                f"You looked up attempt {attempt}, but there is attempt {step.attempt} by now."
            )
        said = settle_step(step=step, person=person, answer=answer, reason=reason, result=result)
        audit.record(
            person=person,
            action="doubt_settled",
            subject=f"Step of {step.name}",
            subject_id=step.id,
            detail={
                "answer": answer,
                "attempt": said.attempt,
                "position": step.position,
                "run": str(step.run_id),
            },
            request=request,
        )
    return said
