"""The gatekeeper's verbs: open a gate for a held step, close it when people have decided.

Only the gatekeeper's role can write what is written here, and the database checks each row
again (see `locks`). No tool and no workflow is imported: what a tool is, the database says.
"""

from __future__ import annotations

import logging
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models.functions import Now

from approvals import (
    asking,
    canaries,
    counting,
    envelope,
    evidence,
    freezes,
    limits,
    policies,
    quorum,
)
from approvals.asking import Asked, username
from approvals.counting import Heard
from approvals.evidence import Waiting
from approvals.models import Clearance, Decision, Gate, Revocation
from approvals.rules.evaluate import Kind
from runs import canonical, dispatch, journal, prepared, transitions
from runs.clock import database_now
from runs.errors import ClaimMissed
from runs.models import Step, new_id
from runs.points import reach
from runs.transitions import rows

OPEN_WORDS = "A gate is open:"
"""How it begins what a held step says of itself once it has a gate."""
# The clearance is of the very digest that its gate has, and ends by the database's clock.
CLEAR = """
    WITH closed AS (
        UPDATE approvals_gate SET status = 'approved', closed_at = statement_timestamp()
        WHERE id = %(gate)s AND status = 'open' RETURNING id, tenant, step_id, digest
    )
    INSERT INTO approvals_clearance (id, tenant, step_id, gate_id, digest, expires_at)
    SELECT %(leave)s, tenant, step_id, id, digest,
        clock_timestamp() + %(seconds)s * interval '1 second' FROM closed
"""
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
        return _close(seen.gate, seen)


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
        _clear(gate, step)
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


def _close(gate: Gate, seen: Waiting) -> bool:
    """Closes an open gate on which the verdict is in; also a cleared step that came too late."""
    step = seen.step
    if gate.status == Gate.Status.APPROVED:
        return _lapse(gate, step)
    if gate.status == Gate.Status.OPEN and seen.is_canary:
        return _close_canary(gate, step)
    if gate.status == Gate.Status.OPEN and step.status != Step.Status.HELD:
        return _end(gate, step, Gate.Status.WITHDRAWN)
    return gate.status == Gate.Status.OPEN and _conclude(gate, seen)


def _close_canary(gate: Gate, step: Step) -> bool:
    """Over at the first decision, whatever it is: never cleared, and denied to nobody, so that
    neither thresholds of denials nor notices nor an agent hear of it."""
    is_over = gate.decisions.exists() or canaries.is_asked_to_end(step.run)
    if not is_over and gate.expires_at > database_now():
        return False
    status = Gate.Status.WITHDRAWN if is_over else Gate.Status.EXPIRED
    _end(gate, step, status)
    transitions.end_inert(step, {"kind": "Canary", "message": canaries.ENDED})
    return True


def _conclude(gate: Gate, seen: Waiting) -> bool:
    heard = counting.heard_at(gate)
    decisions = [one.decision for one in heard]
    refusals = [one for one in decisions if one.verdict != Decision.Verdict.APPROVE]
    if refusals:
        _refuse(gate, seen.step, min(refusals, key=lambda one: one.decided_at))
    elif gate.expires_at <= seen.now:
        message = "Nobody consented in time, so it is refused."
        _deny(gate, seen.step, Gate.Status.EXPIRED, {"kind": "Expired", "message": message})
    elif _is_enough(gate, heard, seen.now):
        clears_at = _cools_until(gate, decisions)
        if clears_at is not None:
            return _cool_off(gate, clears_at)
        return _clear_unless_stopped(gate, seen)
    else:
        return _cool_off(gate, None)
    return True


def _is_enough(gate: Gate, heard: list[Heard], at: datetime) -> bool:
    """Every signature is verified here before anything is cleared, and again in the executor."""
    digest, decisions = envelope.digest(bytes(gate.envelope)), [one.decision for one in heard]
    proven = counting.proven(gate, decisions, digest=digest, at=at)
    return not counting.proven_shortage_of(gate, heard, proven, at=at)


def _clear_unless_stopped(gate: Gate, seen: Waiting) -> bool:
    """What is frozen stays held and says so, and what no rule covers any more; the sweep goes on
    with it after the thaw, or with the next policy. What is blocked since is refused."""
    step, why_frozen = seen.step, freezes.why_frozen(gate)
    if why_frozen:
        transitions.explain_hold(step.id, f"{why_frozen} It goes on once it is thawed.")
        return False
    since = asking.since(gate)
    if since is not None and since.kind == Kind.BLOCK:
        _deny(gate, step, Gate.Status.DENIED, {"kind": "Blocked", "message": since.because})
    elif since is not None and since.then is None:
        transitions.explain_hold(step.id, since.because)
        return False
    else:
        _clear(gate, step)
    return True


def _refuse(gate: Gate, step: Step, refusal: Decision) -> None:
    who = username(refusal.person_id)
    if refusal.verdict == Decision.Verdict.CHANGES:
        error = {"kind": "ChangesRequested", "message": refusal.reason, "by": who}
        return _deny(gate, step, Gate.Status.CHANGES_REQUESTED, error)
    message = f"{who} denied it: {refusal.reason}"
    _deny(gate, step, Gate.Status.DENIED, {"kind": "Denied", "message": message})
    transaction.on_commit(lambda: _trip(gate), robust=True)
    return None


def _trip(gate: Gate) -> None:
    """What the policy in force freezes by itself after so many denials."""
    policy = policies.in_force(gate.tenant)
    if policy is not None:
        freezes.trip(gate.tenant, policy.body["freezes"], gate)


def _cools_until(gate: Gate, decisions: list[Decision]) -> datetime | None:
    """Until when the approvals must still stand; None when nothing has to be waited for."""
    seconds = gate.consent.get("cooling_off_seconds", 0)
    if not seconds:
        return None
    clears_at = max(one.decided_at for one in decisions) + timedelta(seconds=seconds)
    return clears_at if clears_at > database_now() else None


def _cool_off(gate: Gate, clears_at: datetime | None) -> bool:
    """Tells until when it cools off; None once an approval was taken back meanwhile."""
    if gate.clears_at == clears_at:
        return False
    Gate.objects.filter(pk=gate.pk, status=Gate.Status.OPEN).update(clears_at=clears_at)
    dispatch.show(gate.tenant, "gate", gate.id, 0)
    return True


def _clear(gate: Gate, step: Step) -> None:
    leave = new_id()
    transitions.clear(step.id, leave, actor="gatekeeper")
    with prepared.cursor() as cursor:
        cursor.execute(
            CLEAR, {"gate": gate.id, "leave": leave, "seconds": limits.CLEARANCE_SECONDS}
        )
        _check_closed(gate, cursor.rowcount)
    _tell_end(gate, step, Gate.Status.APPROVED)


def _deny(gate: Gate, step: Step, status: str, error: dict[str, str]) -> None:
    transitions.deny(step.id, error, actor="gatekeeper")
    _end(gate, step, status)


def _lapse(gate: Gate, step: Step) -> bool:
    """A clearance that nobody used in time is refused, never stretched; so is one of which an
    approval was taken back before the step was claimed."""
    if step.status != Step.Status.READY or step.attempt > 0:
        return False
    revocation = Revocation.objects.filter(decision__gate=gate).order_by("revoked_at").first()
    clearance = Clearance.objects.filter(gate=gate).first()
    if revocation is not None:
        who = username(revocation.decision.person_id)
        message = f"{who} took the approval back: {revocation.reason}"
        error = {"kind": "Revoked", "message": message}
    elif clearance is not None and clearance.expires_at <= database_now():
        message = "It was cleared, but not started before the clearance ended."
        error = {"kind": "Expired", "message": message}
    else:
        return False
    try:
        transitions.deny(step.id, error, actor="gatekeeper")
    except ClaimMissed:
        return False
    if revocation is not None:
        _end(gate, step, Gate.Status.REVOKED, was=Gate.Status.APPROVED)
    return True


def _end(gate: Gate, step: Step, status: str, was: str = Gate.Status.OPEN) -> bool:
    closing = Gate.objects.filter(pk=gate.pk, status=was)
    _check_closed(gate, closing.update(status=status, closed_at=Now()))
    _tell_end(gate, step, status)
    return True


def _check_closed(gate: Gate, count: int) -> None:
    if count != 1:
        raise ClaimMissed(f"The gate {gate.pk} is closed already.")


def _tell_end(gate: Gate, step: Step, status: str) -> None:
    body = {"gate": str(gate.id), "status": str(status)}
    seq = journal.append(
        step.run_id, "gate.closed", body, position=step.position, actor="gatekeeper"
    )
    dispatch.show(gate.tenant, "gate", gate.id, seq)
    transaction.on_commit(lambda: logger.info("gate %s is %s", gate.id, status))


def envelope_of(gate: Gate) -> dict[str, Any]:
    """What the gate asks about, from the very bytes that are signed."""
    decoded: dict[str, Any] = canonical.decode(gate.envelope)
    return decoded
