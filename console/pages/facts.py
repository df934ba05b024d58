"""What a reviewer is told about a gate: everything from the envelope, in words.

The page shows these facts and nothing that an agent wrote for people; `envelope_of` reads
the very bytes whose digest a decision binds.
"""

from __future__ import annotations

from typing import Any

from approvals.envelope import phrase
from approvals.gates import envelope_of, why_not
from approvals.models import Decision, Gate, Policy
from console.models import User
from console.pages import endings, words


def facts_of(gate: Gate, person: User) -> dict[str, Any]:
    """The context of a gate's page; the gate comes with its rows, from `console.access`."""
    envelope = envelope_of(gate)
    money = envelope["money"]
    decisions = sorted(gate.decisions.all(), key=lambda d: d.decided_at)
    approvals = sum(d.verdict == "approve" for d in decisions)
    quorum = int(envelope["quorum"])
    left = max(0, quorum - approvals)
    amount = words.money(money["amount_minor"], money["currency"], money["exponent"])
    return {
        "envelope": envelope,
        "envelope_text": bytes(gate.envelope).decode(),
        "money": money,
        "amount": amount,
        "payee": money["payee"],
        "payee_name": money["payee_name"],
        "tool": envelope["tool"],
        "quorum": quorum,
        "approvals": approvals,
        "decisions": decisions,
        "policy_words": policy_words(gate.policy, money["exponent"]),
        "wanted_words": _wanted(left, envelope["group"]) if left else "",
        **standing_of(gate, person, decisions, left),
        "digest": bytes(gate.digest).hex(),
        "phrase": phrase(bytes(gate.digest)),
        "payment": endings.payment_state(gate),
        "outcome": endings.outcome_words(gate, amount),
        "reference": endings.reference_of(gate.step),
        "over_words": endings.over_words(gate, decisions, person),
        "if_approved": if_approved(left),
        "consequences": consequences(gate, left),
    }


def standing_of(gate: Gate, person: User, decisions: list[Decision], left: int) -> dict[str, str]:
    """Why this person does not decide here (any more), and where that leaves the request."""
    refusal = why_not(gate, person) if gate.status == Gate.Status.OPEN else ""
    mine = next((d for d in decisions if d.person_id == person.pk), None)
    if not refusal:
        return {"why_not": "", "standing": ""}
    if mine is None:
        is_own = gate.requester_id == person.pk
        said = "This is your own request." if is_own else "You are not asked to decide here."
        return {"why_not": refusal, "standing": said}
    if mine.verdict == Decision.Verdict.DENY:
        return {"standing": "You denied it.", "why_not": "The request is being closed."}
    more = _wanted(left, gate.group) if left else "Enough have approved: it is being cleared."
    return {"standing": "You approved it.", "why_not": more}


def policy_words(policy: Policy, exponent: int) -> str:
    low = words.money(policy.above_minor, policy.currency, exponent)
    high = words.money(policy.up_to_minor, policy.currency, exponent)
    band = f"of more than {low}, up to {high}," if policy.above_minor else f"of up to {high}"
    verb = "has" if policy.quorum == 1 else "have"
    return (
        f"Payments {band} by {policy.tool} are made only when {words.people(policy.quorum)} "
        f"of the group {policy.group} {verb} approved. Whoever asked for the payment "
        f"does not count."
    )


def _wanted(left: int, group: str) -> str:
    noun = "approval is" if left == 1 else "approvals are"
    return f"{left} more {noun} needed, from the group {group}."


def if_approved(left: int) -> str:
    if left <= 1:
        return "Yours is the last approval needed: the payment is sent at once, and only once."
    return (
        f"Your approval is counted. {words.people(left - 1).capitalize()} more must approve "
        f"before anything is paid."
    )


def consequences(gate: Gate, left: int) -> list[tuple[str, str]]:
    if gate.status != Gate.Status.OPEN:
        return []
    return [
        ("If you deny", "Nothing is paid. The refusal is final, and the run is told your reason."),
        ("If you approve", if_approved(left)),
    ]
