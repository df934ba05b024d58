"""The gatekeeper's verbs: open a gate for a held step, close it when people have decided.

Only the gatekeeper's role can write what is written here, and the database checks each row
again (see `locks`). No tool and no workflow is imported: what a tool is, the database says.
"""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from approvals import envelope, freezes, limits, policies
from approvals.models import Clearance, Decision, Gate, Policy, Reviewer
from runs import canonical, dispatch, forks, journal, transitions
from runs.clock import database_now
from runs.errors import ClaimMissed
from runs.models import Step
from runs.points import reach
from runs.transitions import rows

logger = logging.getLogger(__name__)


def keep(step_id: UUID) -> bool:
    """Does what there is to do for one money step; False when there is nothing."""
    is_kept = _keep(step_id)
    reach("committed:gate.kept")
    return is_kept


def _keep(step_id: UUID) -> bool:
    with transaction.atomic():
        try:
            rows.lock_run_of(step_id)
        except ClaimMissed:
            return False
        step = Step.objects.select_related("run", "declaration").get(pk=step_id)
        if not step.is_money:
            return False
        gate = Gate.objects.select_for_update(no_key=True).filter(step=step).first()
        if gate is None:
            return step.status == Step.Status.HELD and _open(step)
        return _close(gate, step)


def _open(step: Step) -> bool:
    arguments = canonical.decode(step.arguments)
    declaration = step.declaration
    assert declaration is not None, (
        "a money step has a declaration: see runs_step_effect_is_declared"
    )
    money = envelope.money_of(declaration.body, arguments)
    policy = policies.first_match(policies.rules(step.tenant), tool=step.name, money=money)
    because = policies.why_held(
        policy, tool=step.name, money=money, requesters=forks.requesters_of(step.run_id)
    )
    if policy is None or because:
        transitions.explain_hold(step.id, because)
        return False
    gate = _gate(step, policy, money, arguments)
    gate.save(force_insert=True)
    seq = journal.append(
        step.run_id,
        "gate.opened",
        {
            "gate": str(gate.id),
            "policy": str(policy.id),
            "quorum": policy.quorum,
            "digest": gate.digest.hex(),
        },
        position=step.position,
        actor="gatekeeper",
    )
    transitions.explain_hold(step.id, _asked(policy))
    dispatch.show(step.tenant, "gate", gate.id, seq)
    logger.info("gate %s is open for %s", gate.id, step.name)
    return True


def _gate(step: Step, policy: Policy, money: dict[str, Any], arguments: dict[str, Any]) -> Gate:
    now = database_now()
    expires_at = now + timedelta(seconds=policy.expires_after_seconds)
    requester_id = step.run.requested_by_id
    gate_id = uuid4()
    encoded = envelope.build(
        step=step,
        gate_id=gate_id,
        workflow=step.run.workflow,
        requester=_username(requester_id),
        requester_id=requester_id,
        policy_id=policy.id,
        policy_name=policy.name,
        group=policy.group,
        quorum=policy.quorum,
        not_before=now,
        expires_at=expires_at,
        nonce=secrets.token_hex(16),
        money=money,
        arguments=arguments,
    )
    return Gate(
        id=gate_id,
        tenant=step.tenant,
        step=step,
        run=step.run,
        requester_id=requester_id,
        policy=policy,
        group=policy.group,
        quorum=policy.quorum,
        envelope=encoded,
        digest=envelope.digest(encoded),
        tool=step.name,
        amount_minor=money["amount_minor"],
        currency=money["currency"],
        payee=money["payee"][:255],
        payee_name=money["payee_name"][:255],
        opened_at=now,
        expires_at=expires_at,
    )


def _username(person_id: int) -> str:
    """Read by its column: the gatekeeper may not see more of a person than that."""
    people = get_user_model().objects.filter(pk=person_id)
    return str(people.values_list("username", flat=True).get())


def _asked(policy: Policy) -> str:
    people = "person" if policy.quorum == 1 else "people"
    return f"A gate is open: {policy.quorum} {people} of the group {policy.group!r} must consent."


def _close(gate: Gate, step: Step) -> bool:
    """Closes an open gate on which the verdict is in; also a cleared step that came too late."""
    if gate.status == Gate.Status.APPROVED:
        return _lapse(gate, step)
    if gate.status != Gate.Status.OPEN:
        return False
    if step.status != Step.Status.HELD:
        return _end(gate, step, Gate.Status.WITHDRAWN)
    decisions = list(gate.decisions.all())
    denials = [one for one in decisions if one.verdict == Decision.Verdict.DENY]
    if denials:
        denial = min(denials, key=lambda one: one.decided_at)
        message = f"{_username(denial.person_id)} denied it: {denial.reason}"
        _deny(gate, step, Gate.Status.DENIED, {"kind": "Denied", "message": message})
    elif gate.expires_at <= database_now():
        message = "Nobody consented in time, so it is refused."
        _deny(gate, step, Gate.Status.EXPIRED, {"kind": "Expired", "message": message})
    elif len(_eligible_approvals(gate)) >= gate.quorum:
        return _clear_unless_frozen(gate, step)
    else:
        return False
    return True


def _clear_unless_frozen(gate: Gate, step: Step) -> bool:
    """What is frozen stays held and says so; the sweep goes on with it after the thaw."""
    because = freezes.why_frozen(gate)
    if because:
        transitions.explain_hold(step.id, f"{because} It goes on once it is thawed.")
        return False
    _clear(gate, step)
    return True


def _eligible_approvals(gate: Gate) -> list[Decision]:
    members = Reviewer.objects.filter(
        tenant=gate.tenant, group=gate.group, person__is_active=True
    ).values("person")
    return list(
        gate.decisions.filter(
            verdict=Decision.Verdict.APPROVE, digest=gate.digest, person__in=members
        ).exclude(person__in=forks.requesters_of(gate.run_id))
    )


def _clear(gate: Gate, step: Step) -> None:
    clearance = Clearance.objects.create(
        tenant=gate.tenant,
        step=step,
        gate=gate,
        digest=gate.digest,
        expires_at=database_now() + timedelta(seconds=limits.CLEARANCE_SECONDS),
    )
    transitions.clear(step.id, clearance.id, actor="gatekeeper")
    _end(gate, step, Gate.Status.APPROVED)


def _deny(gate: Gate, step: Step, status: str, error: dict[str, str]) -> None:
    transitions.deny(step.id, error, actor="gatekeeper")
    _end(gate, step, status)


def _lapse(gate: Gate, step: Step) -> bool:
    """A clearance that nobody used in time is refused, never stretched."""
    clearance = Clearance.objects.filter(gate=gate).first()
    if clearance is None or clearance.expires_at > database_now() or step.attempt > 0:
        return False
    message = "It was cleared, but not started before the clearance ended."
    try:
        transitions.deny(step.id, {"kind": "Expired", "message": message}, actor="gatekeeper")
    except ClaimMissed:
        return False
    return True


def _end(gate: Gate, step: Step, status: str) -> bool:
    count = Gate.objects.filter(pk=gate.pk, status=Gate.Status.OPEN).update(
        status=status, closed_at=Now()
    )
    if count != 1:
        raise ClaimMissed(f"The gate {gate.pk} is closed already.")
    body = {"gate": str(gate.id), "status": str(status)}
    seq = journal.append(
        step.run_id, "gate.closed", body, position=step.position, actor="gatekeeper"
    )
    dispatch.show(gate.tenant, "gate", gate.id, seq)
    logger.info("gate %s is %s", gate.id, status)
    return True


def envelope_of(gate: Gate) -> dict[str, Any]:
    """What the gate asks about, from the very bytes that are signed."""
    decoded: dict[str, Any] = canonical.decode(gate.envelope)
    return decoded


def why_not(gate: Gate, person: Any) -> str:
    """Why this person may not decide at this gate, in words; empty when they may."""
    if gate.status != Gate.Status.OPEN:
        return f"This gate is {gate.get_status_display().lower()}; nothing is left to decide."
    if gate.expires_at <= database_now():
        return "The time of this gate is over."
    if person.pk in forks.requesters_of(gate.run_id):
        what = (
            "this run" if gate.requester_id == person.pk else "a run that this one was forked from"
        )
        return f"You requested {what}, so somebody else must decide."
    if not is_member(gate, person):
        return f"Only members of the group {gate.group!r} decide here."
    if gate.decisions.filter(person=person).exists():
        return "You have decided already; one person has one vote."
    return ""


def is_member(gate: Gate, person: Any) -> bool:
    """Whether this person is in the group that the gate asks, still with us, and none of those
    who requested what it is about."""
    return bool(
        person.tenant == gate.tenant
        and person.pk not in forks.requesters_of(gate.run_id)
        and Reviewer.objects.filter(
            tenant=gate.tenant, group=gate.group, person=person, person__is_active=True
        ).exists()
    )


def is_asked(person: Any) -> Q:
    """For lists of gates of the person's tenant: those that `why_not` would leave to this
    person, so far as they are open and in time (`is_live`)."""
    groups = Reviewer.objects.filter(
        tenant=person.tenant, person=person, person__is_active=True
    ).values("group")
    voted = Decision.objects.filter(tenant=person.tenant, gate=OuterRef("pk"), person=person)
    # What costs least stands first; whom a fork goes back to is looked up for what is left.
    return (
        Q(tenant=person.tenant, group__in=groups)
        & ~Q(requester=person)
        & ~Q(Exists(voted))
        & ~Q(forks.RequestedBy("run_id", person.pk))
    )


def is_live() -> Q:
    """Open, and not past its time (the gatekeeper closes it a moment later)."""
    return Q(status=Gate.Status.OPEN, expires_at__gt=Now())
