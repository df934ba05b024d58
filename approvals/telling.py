"""What a notice says and whom it concerns: facts from rows, as they are when it is written."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model

from approvals.eligibility import asked_people
from approvals.envelope import phrase
from approvals.models import Comment, Decision, Gate, Notice
from runs import canonical, forks

Kind = Notice.Kind
ASKING = (Kind.OPENED, Kind.REMINDER, Kind.ESCALATED)


def gate_of(id: UUID) -> Gate:
    """The gate with its run, without what is large."""
    return (
        Gate.objects.select_related("run").defer("envelope", "run__input", "run__result").get(pk=id)
    )


def facts_of(gate: Gate, kind: str, subject: str) -> tuple[dict[str, Any], list[int]]:
    """What is said, and the people whom it concerns. Nothing in it is an agent's prose.

    The tool, the sum and the account are those of the gate, which the database has compared
    with the step; a reason or a comment is of a person who was signed in.
    """
    decisions = list(gate.decisions.order_by("decided_at"))
    facts: dict[str, Any] = {
        "tool": gate.tool,
        "workflow": gate.run.workflow,
        "amount_minor": gate.amount_minor,
        "currency": gate.currency,
        "exponent": canonical.CURRENCIES.get(gate.currency or "", 0),
        "payee": gate.payee,
        "payee_name": gate.payee_name,
        "requester": _usernames([gate.requester_id])[gate.requester_id],
        "expires_at": gate.expires_at.isoformat(),
        "status": str(gate.status),
        "phrase": phrase(bytes(gate.digest)),
        "digest": bytes(gate.digest).hex(),
        "decisions": _said(decisions),
    }
    if kind == Kind.COMMENTED:
        comment = Comment.objects.get(pk=UUID(subject))
        author = _usernames([comment.person_id])[comment.person_id]
        facts["comment"] = {"by": author, "text": comment.text}
        return facts, _others(gate, decisions, but=comment.person_id)
    if kind in ASKING:
        return facts, _deciders(gate, decisions)
    return facts, sorted({gate.requester_id, *(one.person_id for one in decisions)})


def _said(decisions: list[Decision]) -> list[dict[str, str]]:
    names = _usernames([one.person_id for one in decisions])
    return [
        {"by": names[one.person_id], "verdict": one.verdict, "reason": one.reason}
        for one in decisions
    ]


def _deciders(gate: Gate, decisions: list[Decision]) -> list[int]:
    """Who may still decide: nobody is woken about a request of their own, or after their vote."""
    done = {one.person_id for one in decisions} | set(forks.requesters_of(gate.run_id))
    return sorted(set(asked_people(gate)) - done)


def _others(gate: Gate, decisions: list[Decision], *, but: int) -> list[int]:
    """Who decides or asked, and who spoke before; not who speaks now."""
    spoken = Comment.objects.filter(gate=gate).values_list("person_id", flat=True)
    people = {gate.requester_id, *(one.person_id for one in decisions), *spoken}
    if gate.status == Gate.Status.OPEN:
        people |= set(_deciders(gate, decisions))
    return sorted(people - {but})


def _usernames(ids: list[int]) -> dict[int, str]:
    """Read by its column: the gatekeeper may not see more of a person than that."""
    people = get_user_model().objects.filter(pk__in=ids)
    return dict(people.values_list("pk", "username"))
