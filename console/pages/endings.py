"""What became of what people were asked about: the payment counts, not the vote."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Count, QuerySet
from django.utils import timezone

from approvals import canaries
from approvals.models import Decision, Gate
from console.models import User
from console.pages import words
from runs import canonical
from runs.models import Run, Step

UNPAID_LATELY = timedelta(days=7)
"""How long Home names a payment that was approved and not made."""
GIVEN_UP = "GivenUp"
"""The kind of error of a step whose doubt people gave up: it may have been paid."""


def payment_state(gate: Gate) -> str:
    """The state of the payment or call behind a gate, as `words.PAYMENT_STATES` names it; a gate
    that `console.access` gave says as well whether it was a canary."""
    if getattr(gate, "was_canary", False):
        return "canary"
    if gate.status != Gate.Status.APPROVED:
        return gate.status
    step = gate.step
    if step.status == Step.Status.FAILED and (step.error or {}).get("kind") == GIVEN_UP:
        return "given_up"
    is_payment = gate.amount_minor is not None
    states: dict[str, str] = {
        Step.Status.SUCCEEDED: "paid" if is_payment else "done",
        Step.Status.FAILED: "unpaid" if is_payment else "undone",
        Step.Status.CANCELLED: "unpaid" if is_payment else "undone",
        Step.Status.IN_DOUBT: "in_doubt",
    }
    return states.get(step.status, "cleared")


def outcome_words(gate: Gate, amount: str) -> str:
    """What became of a closed gate's payment or call, in a sentence; where it was made, the
    receipt has a line of its own. `amount` is empty where the gate pays nothing."""
    reason = words.sentence((gate.step.error or {}).get("message", ""))
    what = f"The payment of {amount}" if amount else f"The call of {gate.tool}"
    whether = f"{amount} was paid" if amount else f"{gate.tool} was carried out"
    nothing = "Nothing was paid." if amount else "Nothing was done."
    failed = f"{what} was approved, but not made. {reason or 'Its run was cancelled.'}"
    sentences = {
        "cleared": f"Enough people approved. {what} is on its way.",
        "unpaid": failed,
        "undone": failed,
        "in_doubt": f"Nobody knows whether {whether}: people must find out.",
        "given_up": f"Nobody could find out whether {whether}. {reason}",
        "denied": f"{what} was refused. {nothing}",
        "canary": canaries.ENDED,
        "expired": f"Not enough people approved in time. {nothing}",
        "withdrawn": f"The request was withdrawn. {nothing}",
        "changes_requested": f"Somebody wants it changed; the run was told. {nothing}",
        "revoked": f"{reason} {nothing}",
    }
    return sentences.get(payment_state(gate), "")


def reference_of(step: Step) -> str:
    """The reference in a step's result, where it has one: the provider's word for the payment."""
    result: Any = None if step.result is None else canonical.decode(step.result)
    if not isinstance(result, dict):
        return ""
    named = (v for k, v in result.items() if k == "reference" or k.endswith("_reference"))
    return next((value for value in named if isinstance(value, str)), "")


BLOCKED = "The policy blocks it by now"


def refusal_of(decisions: Sequence[Decision]) -> Decision | None:
    """The first denial, or wish for changes; None where there is none, and the policy refused."""
    refusals = [one for one in decisions if one.verdict != Decision.Verdict.APPROVE]
    return min(refusals, key=lambda one: one.decided_at, default=None)


def over_words(gate: Gate, decisions: Sequence[Decision], person: User) -> str:
    """Why nothing is left to decide, for who is looking while it closes; "" while it is open."""
    if getattr(gate, "was_canary", False):
        return "This was a canary; nothing is left to decide."
    refusal = refusal_of(decisions)
    voted = refusal or (decisions[-1] if decisions else None)
    last = "You" if voted and voted.person == person else str(voted and voted.person)
    denied = f"{last} denied this just now" if refusal else BLOCKED
    sentences = {
        Gate.Status.APPROVED: f"{last} approved this just now; nothing is left to decide.",
        Gate.Status.DENIED: f"{denied}; nothing is left to decide.",
        Gate.Status.EXPIRED: "The time is up; nothing is left to decide.",
        Gate.Status.WITHDRAWN: "The request was withdrawn; nothing is left to decide.",
        Gate.Status.CHANGES_REQUESTED: f"{last} wants it changed; nothing is left to decide.",
        Gate.Status.REVOKED: "An approval was taken back; nothing is left to decide.",
    }
    return sentences.get(Gate.Status(gate.status), "")


def end_of(run: Run) -> str:
    """How a run ended that reached its end: well, or with so many steps that did not."""
    steps = Step.objects.filter(tenant=run.tenant, run=run).order_by()
    counts = dict(steps.values_list("status").annotate(Count("id")))
    bad = [
        f"{counts[status]} {word}"
        for status, word in (("denied", "denied"), ("failed", "failed"), ("cancelled", "cancelled"))
        if counts.get(status)
    ]
    if not bad:
        return "It ended well."
    return f"It ended, but not every step went well: {', '.join(bad)}."


def find_unpaid(person: User) -> QuerySet[Gate]:
    """Payments that people approved lately and that were not made, newest first."""
    since = timezone.now() - UNPAID_LATELY
    gates = Gate.objects.filter(
        tenant=person.tenant, status=Gate.Status.APPROVED, closed_at__isnull=False
    )
    failed = gates.filter(step__status=Step.Status.FAILED, step__finished_at__gt=since)
    return failed.select_related("step").order_by("-step__finished_at")


def unpaid_words(gate: Gate) -> tuple[str, str]:
    """Title and text of such a payment on Home."""
    state = payment_state(gate)
    is_known = state in ("unpaid", "undone")
    title = words.PAYMENT_STATES[state].word if is_known else "Approved, and given up in doubt"
    reason = words.sentence((gate.step.error or {}).get("message", ""))
    return title, f"{what_is_asked(gate)}. {reason}"


def what_is_asked(gate: Gate) -> str:
    """What people were asked about, in a line: the payment, or the call of a tool."""
    if gate.amount_minor is None:
        return gate.tool
    paid = words.money(gate.amount_minor, gate.currency)
    return f"{paid} to {gate.payee_name or gate.payee}"
