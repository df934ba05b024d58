"""Lock 4, in the executor: proves that what is about to be sent is what people consented to."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any

from approvals import asking, counting, envelope, evidence, policies
from approvals.models import Decision, Gate
from approvals.rules import proof
from approvals.rules.evaluate import Kind
from runs import canonical
from runs.declare import Tool
from runs.errors import ConsentMismatch
from runs.models import Step


def verify(step: Step, tool: Tool, arguments: dict[str, Any]) -> None:
    """Rebuilds the envelope from the arguments that the tool is about to get.

    Raises `ConsentMismatch` unless its digest is the one that the clearance, the gate and
    enough distinct approvals bear, the policy asks for no more than that, and no denial stands
    against it.
    """
    seen = evidence.cleared(step.id)
    if seen.is_canary:
        raise ConsentMismatch(f"{tool.name} is asked by a canary, a test; nothing was sent.")
    clearance = seen.clearance
    if clearance is None or clearance.pk != step.clearance_id:
        raise ConsentMismatch(f"{tool.name} has no clearance; nothing was sent.")
    gate = clearance.gate
    told = canonical.decode(gate.envelope)
    rebuilt = envelope.digest(_rebuild(gate, told, step, tool, arguments))
    for name, found in (("gate", gate.digest), ("clearance", clearance.digest)):
        if not hmac.compare_digest(rebuilt, bytes(found)):
            raise ConsentMismatch(
                f"What {tool.name} is about to send is not what the {name} was about; "
                "nothing was sent."
            )
    _check_rule(gate, told)
    _check_circumstances(gate, told, tool, step.run.agent)
    _check_decisions(gate, rebuilt, seen.spent_at)


def _rebuild(
    gate: Gate, told: dict[str, Any], step: Step, tool: Tool, arguments: dict[str, Any]
) -> bytes:
    return envelope.build(
        step=step,
        gate_id=gate.id,
        workflow=step.run.workflow,
        requester=told["requester"],
        requester_id=step.run.requested_by_id,
        policy=gate.policy,
        rule=gate.rule,
        circumstances=told["circumstances"],
        supersedes=None if gate.supersedes_id is None else str(gate.supersedes_id),
        not_before=datetime.fromisoformat(told["not_before"]),
        expires_at=gate.expires_at,
        nonce=told["nonce"],
        money=envelope.money_of(tool.declaration, arguments),
        arguments=arguments,
    )


def _check_rule(gate: Gate, told: dict[str, Any]) -> None:
    """The policy's own document, evaluated again, leads to the rule that people were asked by;
    `told` has been proven to be about what will be sent."""
    if policies.digest(bytes(gate.policy.document)) != bytes(gate.policy.digest):
        raise ConsentMismatch("The policy's bytes and digest disagree; nothing was sent.")
    outcome = asking.evaluated_again(gate.policy, told)
    if outcome.rule != gate.rule or outcome.then != gate.needs:
        raise ConsentMismatch(
            f"The policy {gate.policy.number} does not ask by its rule {gate.rule_name!r} about "
            f"what {gate.tool} is about to send; nothing was sent."
        )
    since = asking.since(gate)
    if since is not None and since.then is None:
        raise ConsentMismatch(f"The policy covers it no more: {since.because} Nothing was sent.")
    if since is not None and since.kind == Kind.BLOCK:
        raise ConsentMismatch(f"The policy blocks it since: {since.because} Nothing was sent.")


def _check_circumstances(gate: Gate, told: dict[str, Any], tool: Tool, agent: str) -> None:
    """The gatekeeper said by which circumstances a rule was chosen; rows say whether it is so."""
    because = proof.untrue(
        told,
        document=gate.policy.body,
        rule=gate.rule,
        declaration=tool.declaration,
        agent=agent,
        gate_id=gate.id,
        opened_at=gate.opened_at,
    )
    if because:
        raise ConsentMismatch(f"{because} Nothing was sent.")


def _check_decisions(gate: Gate, rebuilt: bytes, at: datetime) -> None:
    """Counted as of the moment at which the clearance was spent."""
    heard = counting.heard_at(gate)
    decisions = [one.decision for one in heard]
    if any(decision.verdict != Decision.Verdict.APPROVE for decision in decisions):
        raise ConsentMismatch("A denial stands against this step; nothing was sent.")
    others = [one for one in decisions if one.person_id != gate.requester_id]
    proven = counting.proven(gate, others, digest=rebuilt, at=at)
    missing = counting.proven_shortage_of(gate, heard, proven, at=at)
    if missing:
        have, need = missing.split("/")
        raise ConsentMismatch(
            f"{have} of {need} approvals stand for what is about to be sent; nothing was sent."
        )
