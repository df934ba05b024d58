"""What people do: the right, the domain call and the audit entry, in one transaction.

Pages, API and commands translate; each of them makes one call here. The rooms below do
not know of roles, and the audit does not know of runs, so this is where they meet.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal

from django.db import transaction
from django.http import HttpRequest

from approvals.decisions import decide
from approvals.models import Decision
from console import access, audit
from console.models import User
from runs.errors import SettlementRefused
from runs.lifecycle import start_run
from runs.models import Claim, Run, Settlement
from runs.settlements import settle as settle_step
from runs.steering import request_cancel

Verdict = Literal["approve", "deny"]
Answer = Literal["happened", "did_not_happen", "give_up"]


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


def cancel(person: User, run_id: uuid.UUID | str, *, request: HttpRequest | None = None) -> Run:
    """Ask the run to stop; asking twice is asking once.

    Raises `access.Forbidden`, `access.NotFound` and `runs.errors.AlreadyEnded`.
    """
    run = access.access_run_by_id(person, run_id, right="runs.cancel")
    with transaction.atomic():
        if request_cancel(run=run, actor=person.get_username()):
            audit.record(
                person=person,
                action="cancel_requested",
                subject=f"Run of {run.workflow}",
                subject_id=run.id,
                request=request,
            )
    run.refresh_from_db()
    return run


def decide_at_gate(
    person: User,
    gate_id: uuid.UUID | str,
    *,
    verdict: Verdict,
    reason: str,
    digest: str,
    request: HttpRequest | None = None,
) -> Decision:
    """Record this person's verdict over the digest that they saw, given in hexadecimal.

    Raises `access.Forbidden`, `access.NotFound` and `approvals.errors.DecisionRefused`.
    """
    gate = access.access_gate_by_id(person, gate_id, right="gates.decide")
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
                },
                request=request,
            )
    return decision


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
    """Record what this person says became of a step in doubt; `result` where it happened.

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
