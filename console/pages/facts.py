"""What a reviewer is told about a gate: everything from the envelope, in words.

The page shows these facts and nothing that an agent wrote for people; `envelope_of` reads
the very bytes whose digest a decision binds.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from approvals import asking, canaries, counting, quorum, typed
from approvals.eligibility import why_not
from approvals.envelope import envelope_of, phrase
from approvals.freezes import why_frozen
from approvals.models import Decision, Gate
from console.models import User
from console.pages import endings, words
from console.pages.whom import among, whom

VOTED = {
    Decision.Verdict.APPROVE: "You approved it.",
    Decision.Verdict.DENY: "You denied it.",
    Decision.Verdict.CHANGES: "You asked for changes.",
}
TAKEN_BACK = "It does not count any more. One person has one vote: others must decide."


def facts_of(gate: Gate, person: User) -> dict[str, Any]:
    """The context of a gate's page; the gate comes with its rows, from `console.access`."""
    envelope = envelope_of(gate)
    money = envelope["money"] or {}
    decisions = sorted(gate.decisions.all(), key=lambda d: d.decided_at)
    voices = list(counting.voices_of(gate).values())
    left = _left(gate, voices)
    frozen = why_frozen(gate) if gate.status == Gate.Status.OPEN else ""
    amount = (
        words.money(money["amount_minor"], money["currency"], money["exponent"]) if money else ""
    )
    return {
        "envelope": envelope,
        "envelope_text": bytes(gate.envelope).decode(),
        "money": money,
        "amount": amount,
        "payee": money.get("payee", ""),
        "payee_name": money.get("payee_name", ""),
        "title": f"{amount} to {money['payee_name'] or money['payee']}" if money else gate.tool,
        "tool": envelope["tool"],
        "quorum": gate.quorum,
        "approvals": len(voices),
        "decisions": decisions,
        "policy_words": policy_words(gate, envelope),
        "who_words": who_words(gate),
        "wanted_words": _wanted(left, gate) if left else "",
        "why_frozen": frozen,
        **standing_of(gate, person, decisions, left, is_frozen=bool(frozen)),
        "digest": bytes(gate.digest).hex(),
        "phrase": phrase(bytes(gate.digest)),
        "payment": endings.payment_state(gate),
        "outcome": endings.outcome_words(gate, amount),
        "reference": endings.reference_of(gate.step),
        "over_words": endings.over_words(gate, decisions, person),
        "way_back": way_back(gate),
        "may_take_back": _may_take_back(gate, decisions, person),
        "if_approved": if_approved(gate, left, is_frozen=bool(frozen)),
        "nothing": nothing_words(gate),
        "how_words": how_words(gate, envelope),
        "is_cooling": gate.clears_at is not None and not left,
        "consequences": consequences(gate, left, is_frozen=bool(frozen)),
        **canary_of(gate, person),
    }


def canary_of(gate: Gate, person: User) -> dict[str, Any]:
    """What is said of a canary to who may know it by now, in the place of what a page says else:
    nothing of it is cleared, and no approval of it has to be taken back."""
    told = canaries.told_to(gate, person)
    if told is None:
        return {"canary": None}
    more: dict[str, Any] = {"canary": told, "may_take_back": False}
    if gate.status == Gate.Status.OPEN:
        more["why_not"] = "The request is being closed."
    return more


def standing_of(
    gate: Gate, person: User, decisions: list[Decision], left: int, *, is_frozen: bool
) -> dict[str, str]:
    """Why this person does not decide here (any more), and where that leaves the request."""
    refusal = why_not(gate, person) if gate.status == Gate.Status.OPEN else ""
    mine = next((d for d in decisions if d.person_id == person.pk), None)
    if refusal and mine is not None and counting.is_taken_back(mine):
        return {"standing": "You took your approval back.", "why_not": TAKEN_BACK}
    if not refusal:
        return {"why_not": "", "standing": ""}
    if mine is None:
        is_own = gate.requester_id == person.pk
        said = "This is your own request." if is_own else "You are not asked to decide here."
        return {"why_not": refusal, "standing": said}
    if mine.verdict != Decision.Verdict.APPROVE:
        said = VOTED[Decision.Verdict(mine.verdict)]
        return {"standing": said, "why_not": "The request is being closed."}
    enough = "Enough have approved: the gatekeeper clears it next."
    if gate.clears_at:
        enough = "Enough have approved: it is cleared once it has cooled off."
    if is_frozen:
        enough = "Enough have approved: it is cleared once two admins have thawed it."
    more = _wanted(left, gate) if left else enough
    return {"standing": "You approved it.", "why_not": more}


def policy_words(gate: Gate, envelope: dict[str, Any]) -> str:
    """Why people are asked, in the words of the rule that decided, evaluated again."""
    tried = asking.evaluated_again(gate.policy, envelope).tried
    return tried[gate.rule].text if gate.rule < len(tried) else ""


def way_back(gate: Gate) -> str:
    seconds = int(gate.consent.get("cooling_off_seconds", 0))
    if seconds:
        span = words.span(timedelta(seconds=seconds))
        return f"You can take it back for at least {span} after the last approval."
    return "You can take it back until the step is claimed, which may be at once."


def _may_take_back(gate: Gate, decisions: list[Decision], person: User) -> bool:
    """Whether this person's approval stands, and the step has not been claimed."""
    if gate.status not in (Gate.Status.OPEN, Gate.Status.APPROVED) or gate.step.attempt:
        return False
    return any(
        one.person_id == person.pk
        and one.verdict == Decision.Verdict.APPROVE
        and not counting.is_taken_back(one)
        for one in decisions
    )


def who_words(gate: Gate) -> str:
    """Who must consent, threshold by threshold."""
    consent = gate.consent
    if not consent:
        return "nobody has to consent; the policy allows it."
    parts = [f"{words.people(one['count'])} {among(one)}" for one in gate.thresholds]
    joined = (" or " if consent["mode"] == "any" else " and ").join(parts)
    return f"{joined} must approve{_later(consent)}. Whoever asked for it does not count."


def _later(consent: dict[str, Any]) -> str:
    """Which groups are asked as well, once those who were asked first have taken too long."""
    escalation = consent.get("escalation")
    if not escalation:
        return ""
    groups = escalation["groups"]
    noun = "group" if len(groups) == 1 else "groups"
    after = words.span(timedelta(seconds=escalation["after_seconds"]))
    return f"; after {after} the {noun} {' and '.join(groups)} may as well"


def _left(gate: Gate, voices: list[quorum.Voice]) -> int:
    """How many more people must approve before it is enough."""
    have, _, need = quorum.shortage(gate.needs, voices).partition("/")
    return int(need) - int(have) if need else 0


def _wanted(left: int, gate: Gate) -> str:
    noun = "approval is" if left == 1 else "approvals are"
    return f"{left} more {noun} needed, from {whom(gate)}."


def if_approved(gate: Gate, left: int, *, is_frozen: bool) -> str:
    cooling = int(gate.consent.get("cooling_off_seconds", 0))
    verb = "done" if gate.amount_minor is None else "paid"
    if left <= 1 and is_frozen:
        return (
            "Yours is the last approval needed, but this request is frozen: nothing is"
            f" {verb} until two admins have thawed it."
        )
    if left <= 1 and cooling:
        return (
            "Yours is the last approval needed: it is cleared after a cooling-off of"
            f" {words.span(timedelta(seconds=cooling))}, unless somebody stops it."
        )
    if left <= 1:
        what = "it is carried out" if gate.amount_minor is None else "the payment is sent"
        return f"Yours is the last approval needed: {what} at once, and only once."
    return (
        f"Your approval is counted. {words.people(left - 1).capitalize()} more must approve "
        f"before anything is {verb}."
    )


def how_words(gate: Gate, envelope: dict[str, Any]) -> str:
    """What the tier asks of somebody who approves, told before they press anything."""
    said = "An approval is shown to you once more before it counts"
    if gate.tier == "passkey":
        said += "; you sign it with a passkey"
    elif gate.tier in typed.TIERS:
        said += f"; you type {typed.wanted(envelope)}, and sign it with a passkey"
    dwell = int(gate.consent.get("dwell_seconds", 0))
    if dwell:
        said += f". Look at it for {dwell} seconds first"
    return f"{said}."


def nothing_words(gate: Gate) -> str:
    return "Nothing is done." if gate.amount_minor is None else "Nothing is paid."


def consequences(gate: Gate, left: int, *, is_frozen: bool) -> list[tuple[str, str]]:
    if gate.status != Gate.Status.OPEN:
        return []
    nothing = nothing_words(gate)
    return [
        ("If you deny", f"{nothing} The refusal is final, and the run is told your reason."),
        ("If you approve", if_approved(gate, left, is_frozen=is_frozen)),
        (
            "If you request changes",
            f"{nothing} The run is told what you want, and may ask again.",
        ),
    ]
