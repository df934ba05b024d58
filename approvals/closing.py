"""What ends a gate: a verdict, its time, or that nobody has to decide any more.

For the gatekeeper alone, in the transaction in which `gates.keep` has locked the run and read
what the rows say. The database checks each row again, as it does those of an opening.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now

from approvals import asking, canaries, counting, envelope, freezes, limits, policies
from approvals.asking import username
from approvals.counting import Heard
from approvals.evidence import Waiting
from approvals.models import Clearance, Decision, Gate, Revocation
from approvals.rules.evaluate import Kind
from runs import dispatch, journal, prepared, transitions
from runs.clock import database_now
from runs.errors import ClaimMissed
from runs.models import Step, new_id

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


def close(gate: Gate, seen: Waiting) -> bool:
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
        clear(gate, step)
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


def clear(gate: Gate, step: Step) -> None:
    """Closes the gate and writes the clearance, which the database compares with the decisions.

    Raises `ClaimMissed` where the step is held no more, or the gate closed already.
    """
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
