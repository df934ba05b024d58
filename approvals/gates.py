"""The gatekeeper at one step that waits for people: opens its gate, and has `closing` end it.

Only the gatekeeper's role can write what is written here, and the database checks each row
again (see `locks`). No tool and no workflow is imported: what a tool is, the database says.
"""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from approvals import asking, closing, envelope, evidence, limits, quorum
from approvals.asking import Asked, username
from approvals.models import Gate
from approvals.rules.evaluate import Kind
from runs import dispatch, journal, transitions
from runs.clock import database_now
from runs.errors import ClaimMissed
from runs.models import Step
from runs.points import reach
from runs.transitions import rows

OPEN_WORDS = "A gate is open:"
"""How it begins what a held step says of itself once it has a gate."""
logger = logging.getLogger(__name__)


def keep(step_id: UUID) -> bool:
    """Does what there is to do for one step that waits for people; False when there is nothing."""
    is_kept = _keep(step_id)
    reach("committed:gate.kept")
    return is_kept


def _keep(step_id: UUID) -> bool:
    with transaction.atomic():
        try:
            rows.lock_run_of(step_id)
        except ClaimMissed:
            return False
        seen = evidence.waiting(step_id)
        if not seen.step.needs_consent:
            return False
        if seen.gate is None:
            return seen.step.status == Step.Status.HELD and _open(seen.step)
        return closing.close(seen.gate, seen)


def _open(step: Step) -> bool:
    asked = asking.ask(step)
    if asked.because:
        transitions.explain_hold(step.id, asked.because)
        return False
    if asked.outcome.kind == Kind.BLOCK:
        error = {"kind": "Blocked", "message": asked.outcome.because}
        transitions.deny(step.id, error, actor="gatekeeper")
        return True
    gate = _gate(step, asked)
    gate.save(force_insert=True)
    seq = journal.append(
        step.run_id,
        "gate.opened",
        {
            "gate": str(gate.id),
            "policy": str(gate.policy_id),
            "rule": gate.rule_name,
            "digest": gate.digest.hex(),
        },
        position=step.position,
        actor="gatekeeper",
    )
    gate.refresh_from_db()
    transitions.explain_hold(step.id, _in_words(gate))
    dispatch.show(step.tenant, "gate", gate.id, seq)
    logger.info("gate %s is open for %s", gate.id, step.name)
    if asked.outcome.kind == Kind.ALLOW:
        closing.clear(gate, step)
    return True


def _gate(step: Step, asked: Asked) -> Gate:
    outcome, policy = asked.outcome, asked.policy
    assert policy is not None and outcome.rule is not None and outcome.then is not None
    now = database_now()
    consent = outcome.then.get("consent", {})
    seconds = consent.get("expires_after_seconds", limits.CLEARANCE_SECONDS)
    expires_at = now + timedelta(seconds=seconds)
    requester_id = step.run.requested_by_id
    gate_id = uuid4()
    former = _superseded(step)
    encoded = envelope.build(
        step=step,
        gate_id=gate_id,
        workflow=step.run.workflow,
        requester=username(requester_id),
        requester_id=requester_id,
        policy=policy,
        rule=outcome.rule,
        circumstances=asked.circumstances,
        supersedes=None if former is None else str(former.id),
        not_before=now,
        expires_at=expires_at,
        nonce=secrets.token_hex(16),
        money=asked.money,
        arguments=asked.arguments,
    )
    return Gate(
        id=gate_id,
        tenant=step.tenant,
        step=step,
        run=step.run,
        requester_id=requester_id,
        policy=policy,
        rule=outcome.rule,
        rule_name=outcome.name,
        needs=outcome.then,
        supersedes=former,
        envelope=encoded,
        digest=envelope.digest(encoded),
        tool=step.name,
        opened_at=now,
        expires_at=expires_at,
        **_listed(asked.money),
    )


def _listed(money: dict[str, Any] | None) -> dict[str, Any]:
    if money is None:
        return {}
    return {
        "amount_minor": money["amount_minor"],
        "currency": money["currency"],
        "payee": money["payee"][:255],
        "payee_name": money["payee_name"][:255],
    }


def _superseded(step: Step) -> Gate | None:
    """The newest request of this run by this tool that people wanted changed, and that no other
    has taken the place of; the votes there are void, for they were about other bytes."""
    return (
        Gate.objects.filter(
            run=step.run,
            tool=step.name,
            status=Gate.Status.CHANGES_REQUESTED,
            superseded_by=None,
        )
        .order_by("-closed_at")
        .first()
    )


def _in_words(gate: Gate) -> str:
    people = "person" if gate.quorum == 1 else "people"
    whom = quorum.asked_in_words(gate.needs)
    return f"{OPEN_WORDS} {gate.quorum} {people} of {whom} must consent."
