"""Home: what needs this person, what is stuck, what ran lately, and health in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from approvals import limits
from approvals.gates import OPEN_WORDS
from console import access, keyring
from console.lookingback import find_second_looks
from console.models import User
from console.pages import words
from console.pages.doubts import Doubt, doubts_of, why_not
from console.pages.endings import find_unpaid, unpaid_words
from console.pages.guard import is_fragment, page, person_of
from console.pages.questions import Question, find_open
from console.pages.requests import count_words, counted, find_waiting
from console.pages.safetyitems import delegated_to, find_due
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
    waiting = find_waiting(person, limit=SHOWN)
    is_reviewer = may(person, "gates.decide")
    doubts = _doubts(person)
    mine = [d for d in doubts if may(person, "steps.settle") and not why_not(d.step, person)[0]]
    others = [doubt for doubt in doubts if doubt not in mine]
    asked = list(find_asked(person, mine))
    stuck = list(find_stuck(person, others))
    return {
        "greeting": f"Good day, {person.first_name or person.username}",
        "summary": _summary(
            waiting.count, is_reviewer=is_reviewer, others=len(asked), stuck=len(stuck)
        ),
        "gates": waiting.gates,
        "gates_count": waiting.count,
        "asked": asked[: 2 * SHOWN],
        "delegated": delegated_to(person),
        "nothing_text": _nothing(is_reviewer=is_reviewer, others=waiting.others_count),
        "runs": access.find_runs(person, limit=SHOWN).items,
        "stuck": stuck[:SHOWN],
        "health": health(person),
    }


def _summary(gates: int, *, is_reviewer: bool, others: int, stuck: int) -> str:
    noun = "request waits" if gates == 1 else "requests wait"
    whom = "you" if is_reviewer else "reviewers"
    said = f"{count_words(gates)} {noun} for {whom}." if gates else f"No request waits for {whom}."
    if others:
        said += f" {others} other {'thing needs' if others == 1 else 'things need'} you."
    if not stuck:
        return f"{said} Nothing is stuck."
    return f"{said} {stuck} {'thing is' if stuck == 1 else 'things are'} stuck."


def _nothing(*, is_reviewer: bool, others: int) -> str:
    if is_reviewer and others:
        noun = "request waits" if others == 1 else "requests wait"
        return f"{count_words(others)} open {noun} on others."
    return "What a run may not do by itself, such as to pay, appears here as a request."


def find_asked(person: User, doubts: Iterable[Doubt]) -> Iterable[Item]:
    """What this person can bring on, beside requests: questions, doubts, what stands still."""
    yield from _fresh_keys(person)
    yield from map(_doubt_item, doubts)
    yield from (Item(**due) for due in find_due(person))
    if may(person, "runs.cancel"):
        yield from _set_aside(person)
    if may(person, "looks.take"):
        yield from _second_looks(person)
    if may(person, "questions.answer"):
        yield from map(_question_item, find_open(person, limit=SHOWN))


def _second_looks(person: User) -> Iterable[Item]:
    waiting = counted(find_second_looks(person))
    if waiting:
        noun = "second look waits" if waiting == 1 else "second looks wait"
        yield Item(
            title=f"{count_words(waiting)} {noun} for you",
            text="Payments that went through without people, or were approved fast.",
            icon="search",
            address=reverse("second-looks"),
        )


def find_stuck(person: User, doubts: Iterable[Doubt]) -> Iterable[Item]:
    """What does not move until somebody else does something about it, or was lost."""
    yield from _unpaid(person)
    if not may(person, "runs.cancel"):
        yield from _set_aside(person)
    yield from _failed(person)
    yield from map(_doubt_item, doubts)
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


def _runs(person: User) -> QuerySet[Run]:
    return Run.objects.filter(tenant=person.tenant).defer(*access.WIDE)


def _set_aside(person: User) -> Iterable[Item]:
    runs = _runs(person).filter(status__in=["quarantined", "paused"])
    for run in runs.order_by("-created_at")[:SHOWN]:
        is_paused = run.status == Run.Status.PAUSED
        yield Item(
            title=f"{run.workflow} is {run.status}",
            text=words.waits_for(run.waiting_for) if is_paused else _message(run),
            tone="wait" if is_paused else "bad",
            icon="pause" if is_paused else "alert",
            address=reverse("run", args=[run.id]),
            since=run.waiting_since,
        )


def _failed(person: User) -> Iterable[Item]:
    since = timezone.now() - FAILED_LATELY
    # What became of a child is told to its parent, which says so itself.
    own = _runs(person).filter(Q(parent=None) | Q(is_detached=True))
    failed = own.filter(status="failed", finished_at__gt=since)
    for run in failed.order_by("-created_at")[:SHOWN]:
        yield Item(
            title=f"{run.workflow} failed",
            text=_message(run),
            tone="bad",
            icon="cross",
            address=reverse("run", args=[run.id]),
        )


def _message(run: Run) -> str:
    return (run.error or {}).get("message") or "It needs a person."


def _fresh_keys(person: User) -> Iterable[Item]:
    """Whoever has a key enrolled in somebody's name is not alone in knowing it."""
    if not may(person, "keys.enrol"):
        return
    now = timezone.now()
    since = now - timedelta(seconds=limits.KEY_NOTICE_SECONDS)
    standing = [held.key for held in keyring.held_by(person, now) if held.state != "revoked"]
    fresh = [key for key in standing if key.enrolled_at > since]
    if fresh:
        yield Item(
            title=f"Enrolled in your name: {', '.join(key.name for key in fresh)}",
            text="These keys sign approvals for you. If one is not yours, revoke it now and tell"
            " an administrator.",
            icon="key",
            address=reverse("keys"),
            since=fresh[0].enrolled_at,
        )


def _question_item(question: Question) -> Item:
    step = question.step
    return Item(
        title=question.text,
        text=f"{step.run.workflow} {str(step.run_id)[-8:]} asks this, and waits.",
        icon="question",
        address=reverse("question", args=[step.run_id, step.position]),
        since=step.created_at,
    )


def _steps(person: User) -> QuerySet[Step]:
    """Steps without what is large in them and around them."""
    steps = Step.objects.filter(tenant=person.tenant).select_related("run")
    wide = ("arguments", "result", "run__input", "run__result")
    return steps.defer(*wide).order_by("-id")


def find_unknown(person: User) -> QuerySet[Step]:
    """Steps whose outcome nobody knows, or that spent their attempts, the newest first."""
    # Either by its own index: for a list of both PostgreSQL would look at every step.
    either = Q(status="in_doubt") | Q(status="paused")
    unknown = _steps(person).filter(either).select_related("gate")
    return unknown.defer("arguments", "result", "run__input", "run__result", "gate__envelope")


def _doubts(person: User) -> list[Doubt]:
    unknown = find_unknown(person).prefetch_related(access.settlements_of_steps())
    return doubts_of(unknown[:SHOWN])


def find_ungated(person: User) -> QuerySet[Step]:
    """Steps that are held and for which no gate was opened in time, the newest first."""
    # Whatever is held needs consent, and by that PostgreSQL finds the index of what is held. What
    # says that it has a gate need not be asked for it: that is nearly all, however many wait.
    held = _steps(person).filter(status="held", needs_consent=True)
    told = held.exclude(held_because__startswith=OPEN_WORDS)
    return told.filter(gate__isnull=True, created_at__lt=timezone.now() - LATE)


def _stuck_steps(person: User) -> Iterable[Item]:
    for step in find_ungated(person)[:SHOWN]:
        yield _step_item(step, "held without a gate", step.held_because)
    again = _steps(person).filter(status="ready", is_remote=True, attempt__gt=0)
    for step in again[:SHOWN]:
        said = (step.error or {}).get("message", "")
        yield _step_item(step, "tried again", f"{step.attempt} attempts so far. {said}")


def _doubt_item(doubt: Doubt) -> Item:
    step = doubt.step
    return Item(
        title=f"{step.name} is {'paused' if doubt.is_paused else 'in doubt'}",
        text=f"{doubt.unknown} {doubt.voices}",
        tone="bad",
        icon="pause" if doubt.is_paused else "question",
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
    ready = _runs(person).filter(status="ready").order_by("ready_at").first()
    if ready is None:
        return None
    newest = ready.events.order_by("-seq").values_list("at", flat=True).first()
    return newest or ready.created_at


def _oldest_due(due: Any) -> Any:
    step = due.defer("arguments", "result").order_by("id").first()
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
