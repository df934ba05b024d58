"""What a person is told about a step that waits for their word: in doubt, or paused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from approvals.eligibility import asked_people
from approvals.models import Gate
from console.models import User
from console.pages import words
from console.pages.whom import among_any
from console.roles import RIGHTS
from runs.models import Effect, Event, Settlement, Step
from runs.settlements import ANSWERS, voices_needed

POISON = "Poison"
"""The kind of error of a step that ended the processes which tried it."""
NAMED = 8
"""How many of the people who may settle are named."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """One step, and what has been said about its newest attempt: the outcome of that is not
    known, or its attempts are spent."""

    step: Step
    unknown: str
    since: datetime | None
    needed: int
    said: Sequence[Settlement]

    @property
    def is_paused(self) -> bool:
        return self.step.status == Step.Status.PAUSED

    @property
    def agreed(self) -> int:
        """How many of those who spoke say the same."""
        return max(Counter(_words_of(s) for s in self.said).values(), default=0)

    @property
    def voices(self) -> str:
        """How far people are with it."""
        if not self.said:
            alike = " (the same)" if self.needed > 1 else ""
            what = "how it goes on" if self.is_paused else "what became of it"
            return f"{words.people(self.needed).capitalize()} must say{alike} {what}."
        if self.agreed >= self.needed:
            return "Enough people have answered: it is being settled."
        differ = ": people differ" if self.agreed < len(self.said) else ""
        return f"{self.agreed} of {self.needed} equal answers so far{differ}."

    def left_after(self, answer: str, result: bytes | None) -> int:
        """How many more must say this, once one more person has said it."""
        equal = sum(_words_of(s) == (answer, result) for s in self.said)
        return max(0, self.needed - equal - 1)


def doubts_of(steps: Iterable[Step]) -> list[Doubt]:
    """Those of the steps that wait for people's word; they come with gate and settlements."""
    found = [step for step in steps if step.status in ANSWERS]
    since = _since(found)
    return [
        Doubt(
            step=step,
            unknown=what_is_unknown(step),
            since=since.get((step.run_id, step.position)),
            needed=voices_needed(step),
            said=said_about(step),
        )
        for step in found
    ]


def said_about(step: Step) -> list[Settlement]:
    """What people have said about the newest attempt."""
    return [s for s in step.settlements.all() if s.attempt == step.attempt]


def what_is_unknown(step: Step) -> str:
    gate = _gate_of(step)
    if step.status == Step.Status.PAUSED:
        if (step.error or {}).get("kind") == POISON:
            return f"{step.name} ended {step.deaths} processes that tried it."
        amount = _amount_of(gate)
        paid = f" {amount} was not paid." if amount else ""
        return f"{step.name} has not worked, and is not tried again by itself.{paid}"
    paid = _amount_of(gate)
    if gate is None or not paid:
        return f"Nobody knows whether {step.name} took effect."
    return f"Nobody knows whether {paid} was paid to {gate.payee_name or gate.payee}."


def _amount_of(gate: Gate | None) -> str:
    """What the step pays, in words; empty where it pays nothing."""
    if gate is None or gate.amount_minor is None:
        return ""
    return words.money(gate.amount_minor, gate.currency)


def why_not(step: Step, person: User) -> tuple[str, str]:
    """Why this person does not say what became of the step, in two sentences; or nothing."""
    if step.status not in ANSWERS:
        state = words.STEP_STATES[step.status].word.lower()
        return "There is nothing to settle.", f"The step is {state}, and not in doubt."
    if step.run.requested_by_id == person.pk:
        return "You requested this run, so somebody else must settle it.", who_may(step)
    mine = next((s for s in said_about(step) if s.person_id == person.pk), None)
    if mine is not None:
        said = words.ANSWERS[mine.answer].word
        return f"You have answered: {said.lower()}.", "One person has one voice."
    if not _eligible(step).filter(pk=person.pk).exists():
        told = f"{_whom(step)} who did not request the run settle it"
        return words.sentence(told), who_may(step)
    return "", ""


def who_may(step: Step) -> str:
    names = list(_eligible(step).values_list("username", flat=True)[: NAMED + 1])
    if len(names) < voices_needed(step):
        return (
            f"{words.people(voices_needed(step)).capitalize()} must say the same, but of"
            f" {_whom(step)} besides the requester there is {', '.join(names) or 'nobody'}."
            " The owner can name more: manage.py person set-role."
        )
    more = " and others" if len(names) > NAMED else ""
    return f"These may: {', '.join(names[:NAMED])}{more}."


def _eligible(step: Step) -> QuerySet[User]:
    """Who may settle: not the requester; for money, of those who may decide at its gate."""
    people = User.objects.filter(
        tenant=step.tenant, is_active=True, groups__name__in=RIGHTS["steps.settle"]
    ).exclude(pk=step.run.requested_by_id)
    gate = _gate_of(step)
    if gate is not None:
        people = people.filter(pk__in=asked_people(gate))
    return people.order_by("username").distinct()


def _whom(step: Step) -> str:
    gate = _gate_of(step)
    return "operators" if gate is None else f"operators {among_any(gate)}"


def _gate_of(step: Step) -> Gate | None:
    return getattr(step, "gate", None)


def consequences(step: Step) -> list[tuple[str, str]]:
    """What people may say of the step, each with what it does."""
    return [(answer, _does(step, answer)) for answer in ANSWERS.get(step.status, ())]


def _does(step: Step, answer: str) -> str:
    again = {
        "keyed": "If it did happen after all, a provider that honours the key does nothing more.",
        "once": "If it did happen after all, it happens twice: nothing protects from that.",
    }.get(step.effect, "")
    consent = " The consent that it has still holds." if step.is_money else ""
    gate = " It moves money, so people must consent to it anew." if step.is_money else ""
    did_not = f"The step is run again under the same key.{consent} {again}".strip()
    retry = f"The step is tried again under the same key; its attempts are counted anew.{consent}"
    if step.run.cancel_requested_at is not None:
        did_not = "The step is cancelled with its run, because somebody asked to cancel that."
        retry = did_not
    is_doubt = step.status == Step.Status.IN_DOUBT
    return {
        "happened": "The step ends well with the result that you give. Nothing is sent again.",
        "did_not_happen": did_not,
        "retry": retry,
        "retry_with": "This step stays on record, cancelled. A new one with your arguments takes"
        f" its place, under a key of its own.{gate}",
        "skip": "Nothing is sent. The workflow goes on as if the step had given your result.",
        "undo": "The step fails and the run ends. What it has done is undone, the newest first,"
        " where its tools say how.",
        "give_up": "The step fails, and the workflow is told so."
        + (" The doubt stays on record." if is_doubt else " It may go on without it, or fail."),
    }[answer]


def consequence_of(doubt: Doubt, answer: str, result: bytes | None) -> str:
    """What follows when this person says this now."""
    left = doubt.left_after(answer, result)
    if left:
        return f"Your answer is counted. {words.people(left).capitalize()} more must say the same."
    what = dict(consequences(doubt.step))[answer]
    return f"It counts at once. {what}"


def example_result(step: Step) -> bytes | None:
    """A result that this tool once gave, for the form of the one that is asked for."""
    worked = Effect.objects.filter(tenant=step.tenant, tool=step.name, status="succeeded")
    for effect in worked.exclude(step=step).select_related("step")[:1]:
        return _as_bytes(effect.step.result)
    return None


def confirmed_by(doubt: Doubt) -> dict[str, Settlement]:
    """Who has said what with a value: whoever confirms it gives the same one."""
    return {said.answer: said for said in doubt.said if said.result is not None}


def _words_of(said: Settlement) -> tuple[str, bytes | None]:
    return said.answer, _as_bytes(said.result)


def _as_bytes(encoded: bytes | memoryview | None) -> bytes | None:
    return None if encoded is None else bytes(encoded)


def _since(steps: Sequence[Step]) -> dict[tuple[UUID, int], datetime]:
    """Since when each of them waits for people, the last time."""
    events = Event.objects.filter(
        run_id__in={step.run_id for step in steps},
        kind__in=("step.in_doubt", "step.paused", "step.poisoned"),
        position__in={step.position for step in steps},
    )
    ordered = events.order_by("seq").values_list("run_id", "position", "at")
    return {(run, position or 0): at for run, position, at in ordered}
