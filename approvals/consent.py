"""Lock 4, in the executor: proves that what is about to be sent is what people consented to."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any

from approvals import envelope, policies
from approvals.models import Clearance, Decision, Gate
from runs import canonical
from runs.declare import Tool
from runs.errors import ConsentMismatch
from runs.models import Step


def verify(step: Step, tool: Tool, arguments: dict[str, Any]) -> None:
    """Rebuilds the envelope from the arguments that the tool is about to get.

    Raises `ConsentMismatch` unless its digest is the one that the clearance, the gate and
    enough distinct approvals bear, and no denial stands against it.
    """
    clearance = Clearance.objects.select_related("gate__policy").filter(step=step).first()
    if clearance is None or clearance.pk != step.clearance_id:
        raise ConsentMismatch(f"{tool.name} has no clearance; nothing was sent.")
    gate = clearance.gate
    rebuilt = envelope.digest(_rebuild(gate, step, tool, arguments))
    for name, found in (("gate", gate.digest), ("clearance", clearance.digest)):
        if not hmac.compare_digest(rebuilt, bytes(found)):
            raise ConsentMismatch(
                f"What {tool.name} is about to send is not what the {name} was about; "
                "nothing was sent."
            )
    money = envelope.money_of(tool.declaration, arguments)
    if policies.first_match([gate.policy], tool=tool.name, money=money) is None:
        raise ConsentMismatch(
            f"The policy {gate.policy.name!r} is not about what {tool.name} is about to send; "
            "nothing was sent."
        )
    _check_decisions(gate, rebuilt)


def _rebuild(gate: Gate, step: Step, tool: Tool, arguments: dict[str, Any]) -> bytes:
    told = canonical.decode(gate.envelope)
    return envelope.build(
        step=step,
        gate_id=gate.id,
        workflow=step.run.workflow,
        requester=told["requester"],
        requester_id=step.run.requested_by_id,
        policy_id=gate.policy_id,
        policy_name=gate.policy.name,
        group=gate.policy.group,
        quorum=gate.policy.quorum,
        not_before=datetime.fromisoformat(told["not_before"]),
        expires_at=gate.expires_at,
        nonce=told["nonce"],
        money=envelope.money_of(tool.declaration, arguments),
        arguments=arguments,
    )


def _check_decisions(gate: Gate, rebuilt: bytes) -> None:
    decisions = list(Decision.objects.filter(gate=gate))
    if any(decision.verdict == Decision.Verdict.DENY for decision in decisions):
        raise ConsentMismatch("A denial stands against this step; nothing was sent.")
    approvers = {
        decision.person_id
        for decision in decisions
        if bytes(decision.digest) == rebuilt and decision.person_id != gate.requester_id
    }
    if len(approvers) < gate.policy.quorum:
        raise ConsentMismatch(
            f"{len(approvers)} of {gate.policy.quorum} approvals stand for what is about to be "
            "sent; nothing was sent."
        )
