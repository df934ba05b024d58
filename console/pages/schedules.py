"""Schedules: the list, one with its ticks, and what people ask of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from console import access, planning
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from console.pages.scheduleform import BackfillForm, ScheduleForm, rhythm_words
from console.pages.startform import of_input
from console.pages.words import OVERLAPS, span
from console.roles import may
from runs import canonical, limits, reserved, schedules
from runs.errors import InvalidInput, Refused
from runs.models import Schedule, Tick, WorkflowDeclaration

SHOWN_TICKS = 25
SHOWN_TIMES = 5


def _workflows() -> list[WorkflowDeclaration]:
    return list(
        WorkflowDeclaration.objects.filter(is_current=True)
        .exclude(name__startswith=reserved.PREFIX)
        .order_by("name")
    )


@page("runs.view")
def all_schedules(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    found = list(access.find_schedules(person)[: limits.MAX_SCHEDULES])
    last = _last_ticks(found)
    for schedule in found:
        schedule.words = rhythm_words(schedule)  # type: ignore[attr-defined]
        schedule.last = last.get(schedule.id)  # type: ignore[attr-defined]
    context = {"schedules": found}
    template = "runs/_schedules.html" if is_fragment(request) else "runs/schedules.html"
    return render(request, template, context)


def _last_ticks(found: list[Schedule]) -> dict[UUID, Tick]:
    """The newest tick of each, in one query."""
    if not found:
        return {}
    ticks = Tick.objects.filter(tenant=found[0].tenant, schedule__in=[s.id for s in found])
    newest = ticks.order_by("schedule", "-at").distinct("schedule")
    return {tick.schedule_id: tick for tick in newest}


@page("runs.view")
def schedule(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    found = access.access_schedule_by_id(person, id)
    ticks = list(
        schedules.recent_ticks(found, limit=SHOWN_TICKS).defer("run__input", "run__result")
    )
    is_over = found.ended_at is not None
    context = {
        "schedule": found,
        "words": rhythm_words(found),
        "catch_up": span_words(found.catch_up_seconds),
        "jitter": span_words(found.jitter_seconds) if found.jitter_seconds else "",
        "overlap": OVERLAPS[found.overlap],
        "ticks": ticks,
        "times": [] if is_over else schedules.next_times(found, SHOWN_TIMES),
        "may_change": may(person, "runs.start") and not is_over,
    }
    template = "runs/_schedule.html" if is_fragment(request) else "runs/schedule.html"
    return render(request, template, context)


def span_words(seconds: int) -> str:
    return span(timedelta(seconds=seconds))


@page("runs.start", methods=("GET", "POST"))
def new(request: HttpRequest) -> HttpResponse:
    workflows = _workflows()
    chosen = next((w for w in workflows if w.name == request.GET.get("workflow")), None)
    if chosen is None and len(workflows) == 1:
        chosen = workflows[0]
    context: dict[str, Any] = {"workflows": workflows, "chosen": chosen}
    if chosen is None:
        return render(request, "runs/schedule_form.html", context)
    form = ScheduleForm(chosen.schema, request.POST or None)
    return _edit(request, form, context, lambda given: planning.create(
        person_of(request), workflow=chosen.name, request=request, **given))  # fmt: skip


@page("runs.start", methods=("GET", "POST"))
def edit(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    found = access.access_schedule_by_id(person, id, right="runs.start")
    declared = WorkflowDeclaration.objects.filter(name=found.workflow).first()
    schema = of_input(declared.schema if declared else {}, canonical.decode(found.input))
    form = ScheduleForm(schema, request.POST or None, schedule=found)
    context = {"chosen": declared, "schedule": found}
    return _edit(request, form, context, lambda given: planning.change(
        person, found.id, request=request, **given))  # fmt: skip


def _edit(
    request: HttpRequest, form: ScheduleForm, context: dict[str, Any], verb: Any
) -> HttpResponse:
    """Shows the next times when asked to, and saves when it is pressed."""
    if request.method == "POST" and form.is_valid():
        if request.POST.get("step") == "preview":
            context["preview"] = form.next_times(SHOWN_TIMES)
            context["preview_zone"] = form.cleaned_data["time_zone"]
        else:
            saved = _save(form, verb)
            if saved is not None:
                messages.success(request, "The schedule is saved.")
                return redirect("schedule", id=saved.id)
    focus_first(form)
    status = 422 if form.errors else 200
    return render(request, "runs/schedule_form.html", context | {"form": form}, status=status)


def _save(form: ScheduleForm, verb: Any) -> Schedule | None:
    try:
        saved: Schedule = verb(form.given())
    except InvalidInput as refusal:
        form.take_faults(refusal.errors)
        return None
    except Refused as refusal:
        form.add_error(form.field_of(refusal.message), refusal.message)
        return None
    return saved


class PauseForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        max_length=limits.MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
        error_messages={"required": "Say why: others read this."},
    )


VERBS = ("pause", "resume", "trigger", "delete")
ASKED = {
    "pause": "The schedule is paused.",
    "resume": "The schedule goes on with its next time.",
    "delete": "The schedule is deleted. Its runs stay.",
}


@page("runs.start", methods=("GET", "POST"))
def turn(request: HttpRequest, id: UUID, verb: str) -> HttpResponse:
    """Pausing, resuming, deleting, starting a run now: what happens, and once confirmed does it."""
    if verb not in VERBS:
        raise Http404
    person = person_of(request)
    found = access.access_schedule_by_id(person, id, right="runs.start")
    form = PauseForm(request.POST if request.POST.get("confirmed") else None)
    fault = ""
    if request.POST.get("confirmed") == "yes" and (verb != "pause" or form.is_valid()):
        try:
            return _turn(request, found, verb, form)
        except Refused as refusal:
            fault = f"Nothing was changed. {refusal.message}"
    focus_first(form)
    is_wrong = bool(fault or (verb == "pause" and form.errors))
    context = {"schedule": found, "verb": verb, "form": form, "fault": fault,
               "times": [] if found.ended_at else schedules.next_times(found, 1),
               "queued": found.ticks.filter(outcome=Tick.Outcome.QUEUED).count()}  # fmt: skip
    return render(request, "runs/schedule_turn.html", context, status=422 if is_wrong else 200)


def _turn(request: HttpRequest, found: Schedule, verb: str, form: PauseForm) -> HttpResponse:
    person = person_of(request)
    if verb == "trigger":
        run = planning.trigger(person, found.id, request=request)
        messages.success(request, "A run of the schedule has started, requested by you.")
        return redirect("run", id=run.id)
    if verb == "pause":
        planning.pause(person, found.id, reason=form.cleaned_data["reason"], request=request)
    elif verb == "resume":
        planning.resume(person, found.id, request=request)
    else:
        planning.delete(person, found.id, request=request)
    messages.success(request, ASKED[verb])
    return redirect("schedules") if verb == "delete" else redirect("schedule", id=found.id)


@page("runs.start", methods=("GET", "POST"))
def backfill(request: HttpRequest, id: UUID) -> HttpResponse:
    """Which times have no run: counted first, and queued once that number was confirmed."""
    person = person_of(request)
    found = access.access_schedule_by_id(person, id, right="runs.start")
    form = BackfillForm(found, request.POST or None)
    context: dict[str, Any] = {"schedule": found, "form": form}
    if request.method == "POST" and form.is_valid():
        spans = {"since": form.cleaned_data["since"], "until": form.cleaned_data["until"]}
        try:
            if request.POST.get("step") == "confirmed" and form.cleaned_data["count"] is not None:
                count = form.cleaned_data["count"]
                planning.backfill(person, found.id, count=count, request=request, **spans)
                messages.success(request, f"{count} runs are queued, the oldest first.")
                return redirect("schedule", id=found.id)
            context["count"] = planning.count_backfill(person, found.id, **spans)
        except Refused as refusal:
            form.add_error(None, f"Nothing was queued. {refusal.message}")
    focus_first(form)
    status = 422 if form.errors else 200
    return render(request, "runs/schedule_backfill.html", context, status=status)
