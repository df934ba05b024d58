"""What a run has to do with beside its steps: what it waits for, relatives, its mailbox, undo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, IntegerField, QuerySet, Value, When
from django.urls import reverse

from console import access
from console.pages import words
from runs import canonical, positions, questions
from runs.models import Event, Run, Signal, Step

SHOWN_WAITS = 8
SHOWN_CHILDREN = 20
SHOWN_FORKS = 5
SHOWN_SIGNALS = 10
LAST_EVENTS = 10
"""Among how many of the newest events the end of a run is looked for."""
# What needs a look comes first, and what has ended well last.
ORDER = ("quarantined", "paused", "failed", "waiting", "running", "ready", "cancelled")
UNENDED = ("held", "ready", "running", "waiting", "in_doubt", "paused")


@dataclass(frozen=True, kw_only=True)
class Wait:
    """One thing that a run waits for, in words, and where a person can do something about it."""

    text: str
    until: datetime | None = None
    address: str = ""
    action: str = ""


@dataclass(frozen=True, kw_only=True)
class Relatives:
    """Children of a run, in the order of how much they need a look."""

    children: Sequence[Run]
    counts: Sequence[tuple[str, int]]
    total: int
    forks: Sequence[Run]
    forks_count: int
    continued_by: Run | None

    @property
    def more_children(self) -> int:
        return self.total - len(self.children)


def waits_of(run: Run, steps: Sequence[Step], relatives: Relatives) -> list[Wait]:
    """What each of the awaited steps waits for; `steps` are those of the page."""
    if run.status != Run.Status.WAITING:
        return []
    awaited = set(run.awaited or [])
    found = [s for s in steps if s.status in UNENDED and (not awaited or s.position in awaited)]
    children = [s for s in found if s.kind == Step.Kind.CHILD]
    waits = []
    if len(children) > 1:
        found = [s for s in found if s.kind != Step.Kind.CHILD]
        unended = sum(n for status, n in relatives.counts if status not in Run.ENDED)
        waits = [Wait(text=f"{unended} of the {relatives.total} runs that it started")]
    waits += [_wait(run, step) for step in found[:SHOWN_WAITS]]
    is_said = len(waits) == 1 and not waits[0].address and waits[0].until is None
    is_said = is_said and not any(step.held_because for step in found)
    return [] if is_said and not children else waits


def _wait(run: Run, step: Step) -> Wait:
    number = positions.original(step.position) + 1
    settle = reverse("step-settle", args=[run.id, step.position])
    if step.status == Step.Status.IN_DOUBT:
        return Wait(
            text=f"People to say what became of {step.name}", address=settle, action="Say it"
        )
    if step.status == Step.Status.PAUSED:
        return Wait(
            text=f"A person to say how {step.name} goes on", address=settle, action="Say it"
        )
    if step.status == Step.Status.HELD:
        # Where no rule covers it nobody is asked, and only these words say so.
        because = f". {step.held_because}" if step.held_because else ""
        return Wait(text=f"Consent to {step.name} (step {number}){because}")
    return _wait_of_kind(run, step, number)


def _wait_of_kind(run: Run, step: Step, number: int) -> Wait:
    until = step.not_before
    if step.kind == Step.Kind.ASK:
        question, _form = questions.form_of(step)
        where = reverse("question", args=[run.id, step.position])
        return Wait(text=f"An answer to “{question}”", until=until, address=where, action="Answer")
    said = {
        Step.Kind.SIGNAL: f"The signal “{step.name}”",
        Step.Kind.SLEEP: "A time",
        Step.Kind.CHILD: f"The run of {step.name} that step {number} started",
    }.get(Step.Kind(step.kind))
    if said is None:
        is_outside = step.is_remote and step.status == Step.Status.WAITING
        said = f"Somebody outside to complete {step.name}" if is_outside else f"{step.name} to end"
    return Wait(text=said, until=until)


def relatives_of(run: Run) -> Relatives:
    children = Run.objects.filter(tenant=run.tenant, parent=run)
    by_status = dict(children.order_by().values_list("status").annotate(Count("id")))
    rank = Case(
        *(When(status=status, then=Value(place)) for place, status in enumerate(ORDER)),
        default=Value(len(ORDER)),
        output_field=IntegerField(),
    )
    shown = _narrow(children).order_by(rank, "parent_position")[:SHOWN_CHILDREN]
    forks = _narrow(Run.objects.filter(forked_from=run)).order_by("-id")
    newest = list(forks[:SHOWN_FORKS])
    return Relatives(
        children=list(shown) if by_status else [],
        counts=sorted(by_status.items(), key=_place),
        total=sum(by_status.values()),
        forks=newest,
        forks_count=forks.count() if len(newest) == SHOWN_FORKS else len(newest),
        continued_by=_narrow(Run.objects.filter(continued_from=run)).first(),
    )


def _place(counted: tuple[str, int]) -> int:
    return ORDER.index(counted[0]) if counted[0] in ORDER else len(ORDER)


def _narrow(runs: QuerySet[Run]) -> QuerySet[Run]:
    return runs.only("workflow", "status", "waiting_for", "error", "created_at", "finished_at",
                     "parent_position", "forked_at")  # fmt: skip


def mailbox_of(run: Run, steps: Sequence[Step]) -> dict[str, Any]:
    """The newest messages, and whether this run has to do with signals at all."""
    found: list[Signal] = list(access.find_signals(run)[: SHOWN_SIGNALS + 1])
    takes = any(step.kind == Step.Kind.SIGNAL for step in steps)
    return {
        "signals": found[:SHOWN_SIGNALS],
        "more_signals": len(found) > SHOWN_SIGNALS,
        "has_mailbox": bool(found) or takes,
    }


def undo_of(run: Run) -> dict[str, Any]:
    """How the run ends, and what could not be undone, as its last event says."""
    newest = Event.objects.filter(run=run).order_by("-seq")[:LAST_EVENTS]
    ended = next((e for e in newest if e.kind in ("run.failed", "run.cancelled")), None)
    said = canonical.decode(ended.body).get("undo", {}) if ended else {}
    status = (run.ending or {}).get("status", "")
    return {
        "ending": words.RUN_STATES[status].word.lower() if status else "",
        "count": said.get("count", 0),
        "not_undone": said.get("not_undone", []),
    }


def is_mismatch(run: Run) -> bool:
    """Whether the run was set aside because its code and its journal disagree."""
    return run.status == Run.Status.QUARANTINED and "recorded" in (run.error or {})
