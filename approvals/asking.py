"""What the policy in force says about one held step: who is to be asked, or why nobody can be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth import get_user_model

from approvals import counting, envelope, policies, quorum
from approvals.models import Gate, Policy
from approvals.rules.circumstances import read_circumstances
from approvals.rules.evaluate import Outcome, evaluate, needed
from approvals.rules.facts import Circumstances, Request, free_text_of, request_of
from runs import canonical
from runs.clock import database_now
from runs.models import Step


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which rule decides and what it asks for; `because` says why nobody can be asked, and is
    empty when somebody can: then there is a policy and a rule."""

    policy: Policy | None
    outcome: Outcome
    circumstances: dict[str, Any]
    money: dict[str, Any] | None
    arguments: dict[str, Any]
    because: str = ""


def ask(step: Step) -> Asked:
    """Evaluates the policy on a held step, under the tenant's lock: two requests at once must
    not both slip under a sum. The step comes with its run and declaration."""
    declaration = step.declaration
    assert declaration is not None, "a held step has one: see runs_step_effect_is_declared"
    arguments = canonical.decode(step.arguments)
    money = envelope.money_of(declaration.body, arguments)
    policies.lock(step.tenant)
    policy = policies.in_force(step.tenant)
    document = policies.EMPTY if policy is None else policy.body
    request = Request(
        tool=step.name,
        workflow=step.run.workflow,
        agent=step.run.agent,
        requester=username(step.run.requested_by_id),
        tenant=step.tenant,
        money=money,
        arguments=arguments,
        free_text=free_text_of(declaration.body, arguments),
        run_id=str(step.run_id),
        at=database_now(),
    )
    known = read_circumstances(needed(document, request), request)
    outcome = evaluate(document, request, known)
    because = outcome.because if outcome.then is None else _why_nobody(step, outcome)
    return Asked(
        policy=policy,
        outcome=outcome,
        circumstances=told(request, known),
        money=money,
        arguments=arguments,
        because=because,
    )


def told(request: Request, known: Circumstances) -> dict[str, Any]:
    """What the envelope keeps of it, so that anybody can evaluate the rules again."""
    return {
        **known.as_json(),
        "at": envelope.moment(request.at),
        "agent": request.agent,
        "free_text": list(request.free_text),
    }


def evaluated_again(policy: Policy, told: dict[str, Any]) -> Outcome:
    """What the policy says about an envelope, by the circumstances that the envelope keeps."""
    return evaluate(policy.body, request_of(told), Circumstances.from_json(told["circumstances"]))


def since(gate: Gate) -> Outcome | None:
    """What the policy in force says now about a gate that an older version opened; None where no
    version has taken that one's place."""
    if policies.is_in_force(gate.policy_id):
        return None
    policy = policies.in_force(gate.tenant)
    document = policies.EMPTY if policy is None else policy.body
    request = replace(request_of(canonical.decode(gate.envelope)), at=database_now())
    known = read_circumstances(needed(document, request), request, but=gate.pk)
    return evaluate(document, request, known)


def _why_nobody(step: Step, outcome: Outcome) -> str:
    """Why the rule cannot be satisfied; empty when it can."""
    assert outcome.then is not None
    if "consent" not in outcome.then:
        return ""
    missing = quorum.shortage(
        outcome.then, counting.askable(step.tenant, step.run_id, outcome.then)
    )
    if not missing:
        return ""
    have, need = missing.split("/")
    return (
        f"The rule {outcome.name!r} asks for {need} of {quorum.asked_in_words(outcome.then)}, of"
        f" whom {have} may decide about this request."
    )


def username(person_id: int) -> str:
    """Read by its column: the gatekeeper may not see more of a person than that."""
    people = get_user_model().objects.filter(pk=person_id)
    return str(people.values_list("username", flat=True).get())
