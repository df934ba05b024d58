"""Home: what needs this person, what is stuck, what ran lately, and health in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from approvals.models import Gate
from console import access
from console.models import User
from console.pages import words
from console.pages.doubts import Doubt, doubts_of
from console.pages.endings import find_unpaid, unpaid_words
from console.pages.guard import is_fragment, page, person_of
from console.pages.requests import find_requests
from console.roles import may
from runs.models import Run, Step

SHOWN = 6
LATE = timedelta(seconds=20)
"""How long work may lie ready before its process is said to be missing."""
FAILED_LATELY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of a list: what, why, and where to go."""

    title: str
    text: str
    tone: str = "wait"
    icon: str = "alert"
    address: str = ""
    since: datetime | None = None


@page()
def home(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    if not may(person, "runs.view"):
        return render(request, "console/no_role.html")
    context = overview(person)
    is_part = is_fragment(request)
    template = "console/_overview.html" if is_part else "console/home.html"
    return render(request, template, context | {"is_part": is_part})


def overview(person: User) -> dict[str, Any]:
    found = find_requests(person)
    is_reviewer = may(person, "gates.decide")
    gates = found.mine if is_reviewer else found.others
    gates_count = found.mine_count if is_reviewer else found.others_count
    stuck = list(find_stuck(person))
    return {
        "greeting": f"Good day, {person.first_name or person.username}",
        "summary": _summary(gates_count, is_reviewer=is_reviewer, stuck=len(stuck)),
        "gates": [g for g in gates if g.status == Gate.Status.OPEN][:SHOWN],
        "gates_count": gates_count,
        "nothing_text": _nothing(is_reviewer=is_reviewer, others=found.others_count),
        "runs": access.find_runs(person, limit=SHOWN).items,
        "stuck": stuck[:SHOWN],
        "health": health(person),
    }


def _summary(gates: int, *, is_reviewer: bool, stuck: int) -> str:
    noun = "payment waits" if gates == 1 else "payments wait"
    whom = "you" if is_reviewer else "reviewers"
    asked = f"{gates} {noun} for {whom}." if gates else f"No payment waits for {whom}."
    if not stuck:
        return f"{asked} Nothing is stuck."
    return f"{asked} {stuck} {'thing is' if stuck == 1 else 'things are'} stuck."


def _nothing(*, is_reviewer: bool, others: int) -> str:
    if is_reviewer and others:
        return f"{others} open {'request waits' if others == 1 else 'requests wait'} on others."
    return "When a run wants to pay, its request appears here by itself."


def find_stuck(person: User) -> Iterable[Item]:
    """What does not move until a person does something about it."""
    yield from _unpaid(person)
    yield from _stuck_runs(person)
    yield from _stuck_steps(person)


def _unpaid(person: User) -> Iterable[Item]:
    for gate in find_unpaid(person)[:SHOWN]:
        title, text = unpaid_words(gate)
        yield Item(
            title=title,
            text=text,
            tone="bad",
            icon="cross",
            address=reverse("gate", args=[gate.id]),
            since=gate.step.finished_at,
        )


def _stuck_runs(person: User) -> Iterable[Item]:
    runs = Run.objects.filter(tenant=person.tenant, status__in=["quarantined", "paused"])
    for run in runs.order_by("-id")[:SHOWN]:
        yield Item(
            title=f"{run.workflow} is {run.status}",
            text=(run.error or {}).get("message") or run.waiting_for or "It needs a person.",
            tone="bad",
            address=reverse("run", args=[run.id]),
        )
    since = timezone.now() - FAILED_LATELY
    failed = Run.objects.filter(tenant=person.tenant, status="failed", finished_at__gt=since)
    for run in failed.order_by("-id")[:SHOWN]:
        yield Item(
            title=f"{run.workflow} failed",
            text=(run.error or {}).get("message", ""),
            tone="bad",
            icon="cross",
            address=reverse("run", args=[run.id]),
        )


def _stuck_steps(person: User) -> Iterable[Item]:
    steps = Step.objects.filter(tenant=person.tenant).select_related("run").order_by("-id")
    unknown = steps.filter(status="in_doubt").select_related("run", "gate")
    for doubt in doubts_of(unknown.prefetch_related(access.settlements_of_steps())[:SHOWN]):
        yield _doubt_item(doubt)
    ungated = steps.filter(status="held", gate__isnull=True, created_at__lt=timezone.now() - LATE)
    for step in ungated[:SHOWN]:
        yield _step_item(step, "held without a gate", step.held_because)
    for step in steps.filter(status="ready", is_remote=True, attempt__gt=0)[:SHOWN]:
        said = (step.error or {}).get("message", "")
        yield _step_item(step, "tried again", f"{step.attempt} attempts so far. {said}")


def _doubt_item(doubt: Doubt) -> Item:
    step = doubt.step
    return Item(
        title=f"{step.name} is in doubt",
        text=f"{doubt.unknown} {doubt.voices}",
        tone="bad",
        icon="question",
        address=reverse("step-settle", args=[step.run_id, step.position]),
        since=doubt.since,
    )


def _step_item(step: Step, condition: str, text: str) -> Item:
    return Item(
        title=f"{step.name} is {condition}",
        text=text,
        icon="clock",
        address=f"{reverse('run', args=[step.run_id])}#step-{step.position}",
    )


def health(person: User) -> list[Item]:
    """Whether each process takes up its work, told from how long work lies ready.

    PostgreSQL is asked and nothing else: it is the only truth, and a process that answers
    pings but takes no work would be no comfort.
    """
    steps = Step.objects.filter(tenant=person.tenant)
    now = timezone.now()
    due = steps.filter(status="ready", is_remote=True).exclude(not_before__gt=now)
    return [
        _process("Worker", "takes up runs", _oldest_ready_run(person)),
        _process(
            "Gatekeeper",
            "opens and closes gates",
            steps.filter(status="held", gate__isnull=True, held_because="")
            .order_by("created_at")
            .values_list("created_at", flat=True)
            .first(),
        ),
        _process("Executor", "sends what was approved", _oldest_due(due)),
        Item(title="Database", text="Answers.", tone="good", icon="check"),
    ]


def _oldest_ready_run(person: User) -> Any:
    ready = Run.objects.filter(tenant=person.tenant, status="ready").order_by("id").first()
    if ready is None:
        return None
    newest = ready.events.order_by("-seq").values_list("at", flat=True).first()
    return newest or ready.created_at


def _oldest_due(due: Any) -> Any:
    step = due.order_by("id").first()
    if step is None:
        return None
    newest = step.run.events.filter(position=step.position).order_by("-seq").first()
    return step.not_before or (newest.at if newest else step.created_at)


def _process(name: str, does: str, waiting_since: Any) -> Item:
    late = timezone.now() - waiting_since if waiting_since else timedelta()
    if late > LATE:
        return Item(
            title=f"{name} does not take up its work",
            text=f"Work has lain ready for {words.span(late)}. Is the process running?",
            tone="bad",
        )
    return Item(title=name, text=f"It {does}; nothing is overdue.", tone="good", icon="check")
