"""Canaries: requests that nobody should approve, and that can never be paid.

Whether a gate is one is known to the database, and told to a person when they have decided
there, or when it is closed. Before that no page, call or message tells it from any other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case, Exists, OuterRef, Value, When

from approvals.models import Canary, Decision, Gate
from approvals.rules.words import amount
from runs.models import Run

ENDED = (
    "This was a canary, a test of those who decide: nobody asked for it, and nothing of it could"
    " ever be paid."
)
"""What the run and the step of a canary say once it is over."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a person is told of a canary; `is_caught` is None where they did not decide there."""

    canary: Canary
    is_caught: bool | None

    @property
    def flaw(self) -> str:
        """What was wrong with it, in a sentence."""
        return flaw_of(self.canary)

    @property
    def counted(self) -> str:
        """What became of it and how it counts, in words for this person."""
        if self.is_caught is None:
            return "It is over, and nothing was paid."
        if self.is_caught:
            return (
                "You caught it: you did not approve. Nothing could have been paid. It counts as"
                " caught in your figures, and nowhere else."
            )
        return (
            "You approved it, so you missed it. Nothing was paid, for a canary cannot be paid. It"
            " counts as missed in your figures, and nowhere else."
        )

    @property
    def text(self) -> str:
        return f"This was a canary: a test that can never be paid. {self.flaw} {self.counted}"


def is_canary(step_id: UUID) -> bool:
    """For the gatekeeper, and for the executor, which refuses it."""
    return Canary.objects.filter(step_id=step_id).exists()


def is_asked_to_end(run: Run) -> bool:
    """Whether somebody wants the run that a canary borrows to end; no worker would end it."""
    return run.cancel_requested_at is not None or run.terminate_requested_at is not None


def told_to(gate: Gate, person: Any) -> Told | None:
    """What this person may know; None where the gate is no canary, and while they are tested."""
    canary = (
        Canary.objects.select_related("model", "step__gate")
        .defer("model__envelope", "step__gate__envelope", "step__arguments", "step__result")
        .filter(step_id=gate.step_id)
        .first()
    )
    if canary is None:
        return None
    mine = Decision.objects.filter(gate=gate, person=person).first()
    if mine is None and gate.status == Gate.Status.OPEN:
        return None
    is_caught = None if mine is None else mine.verdict != Decision.Verdict.APPROVE
    return Told(canary=canary, is_caught=is_caught)


def was_canary() -> Case:
    """For lists of gates: whether one was a canary; False as long as it is open."""
    return Case(
        When(status=Gate.Status.OPEN, then=Value(False)),
        default=Exists(Canary.objects.filter(step_id=OuterRef("step_id"))),
    )


def closed_among(gate_ids: Collection[str]) -> set[str]:
    """Which of these gates were canaries; none that is open. For who audits, read only."""
    gates = Gate.objects.using("auditor").filter(id__in=gate_ids).exclude(step__canary=None)
    return {str(id) for id in gates.exclude(status="open").values_list("id", flat=True)}


def flaw_of(canary: Canary) -> str:
    """What was wrong with the request, beside the payment that it was modelled on."""
    former = canary.model
    whom = former.payee_name or former.payee
    if canary.flaw == Canary.Flaw.AMOUNT:
        asked = amount(canary.step.gate.amount_minor or 0, canary.step.gate.currency)
        usual = amount(former.amount_minor or 0, former.currency)
        return f"It asked for {asked} for {whom}: ten times the {usual} that were paid before."
    return (
        f"It named the account {canary.step.gate.payee} for {whom}, where {former.payee} was paid"
        " before."
    )
