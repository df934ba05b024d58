"""Steering one run: pausing, resuming, cancelling, terminating, forking it; sending it a signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from console import access, deeds
from console.pages.faults import focus_first
from console.pages.guard import page, person_of
from console.pages.startform import JsonField, StartForm, of_input, read_input
from runs import canonical, limits, positions
from runs.errors import AlreadyEnded, ForkRefused, InvalidInput, Refused, UnknownWorkflow
from runs.lifecycle import get_workflow
from runs.models import Run, Step
from runs.reserved import BY_PAGE

IN_FLIGHT = "Attempts that have begun"


@dataclass(frozen=True, kw_only=True)
class Asking:
    """One thing that people may ask of a run, in words: what happens to what."""

    title: str
    action: str
    icon: str
    tone: str
    leave: str
    done: str
    facts: tuple[tuple[str, str], ...]


ASKINGS = {
    "pause": Asking(
        title="Pause this run?",
        action="Pause the run",
        icon="pause",
        tone="main",
        leave="Let it go on",
        done="The run was asked to pause.",
        facts=(
            ("Steps not begun", "do not begin until somebody resumes it."),
            (IN_FLIGHT, "end, and what became of them is recorded."),
            ("Requests", "stay open, and people can decide; what they clear is not sent yet."),
            ("Times", "that it waits for pass, but nothing follows from them yet."),
            ("Way back", "Resume it, at any time."),
        ),
    ),
    "resume": Asking(
        title="Resume this run?",
        action="Resume the run",
        icon="play",
        tone="main",
        leave="Leave it as it is",
        done="The run goes on.",
        facts=(
            ("What happens", "A worker takes it up where it stopped; all that ended is kept."),
            ("If the reason is still there", "it stops again, and says so. Nothing is guessed."),
            ("Way back", "Pause it again."),
        ),
    ),
    "cancel": Asking(
        title="Cancel this run?",
        action="Cancel the run",
        icon="stop",
        tone="bad",
        leave="Keep it going",
        done="The run was asked to stop.",
        facts=(
            (
                "Steps not begun",
                "are cancelled, and their requests are withdrawn. Nothing of them is paid.",
            ),
            (IN_FLIGHT, "end first: a payment on its way is not broken off."),
            (
                "What it has done",
                "is undone, the newest first, where its tools say how. An undo that moves money"
                " needs consent like any payment. All else stays done.",
            ),
            ("Runs that it started", "are asked to stop too, unless they were made to outlive it."),
            (
                "Way back",
                "None: a cancelled run does not go on. You can fork it, or start another.",
            ),
        ),
    ),
    "terminate": Asking(
        title="Terminate this run?",
        action="Terminate the run",
        icon="cross",
        tone="bad",
        leave="Keep it going",
        done="The run was asked to end at once.",
        facts=(
            ("Steps not begun", "are cancelled, and their requests are withdrawn."),
            (
                IN_FLIGHT,
                "are not waited for. They end by themselves, and are still recorded; what is in"
                " doubt stays so until people settle it.",
            ),
            ("What it has done", "stays done. Nothing is undone: cancel it instead for that."),
            ("Way back", "None. You can fork it, or start another."),
        ),
    ),
}


class ReasonForm(forms.Form):
    """Why it is asked for; others read it."""

    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=limits.MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
        error_messages={"required": "Say why: others read this."},
    )

    def __init__(self, verb: str, data: Any = None) -> None:
        super().__init__(data)
        self.fields["reason"].required = verb in deeds.NEED_A_REASON


@page("runs.cancel", methods=("GET", "POST"))
def steer(request: HttpRequest, id: UUID, verb: str) -> HttpResponse:
    """What would happen, and then, once that was confirmed, asks for it."""
    person = person_of(request)
    if verb not in ASKINGS:
        raise Http404
    run = access.access_run_by_id(person, id, right="runs.cancel")
    is_confirmed = request.POST.get("confirmed") == "yes"
    form = ReasonForm(verb, request.POST if is_confirmed else None)
    if is_confirmed and form.is_valid():
        try:
            deeds.steer(
                person,
                run.id,
                cast(deeds.Verb, verb),
                reason=form.cleaned_data["reason"],
                request=request,
            )
        except AlreadyEnded as refusal:
            messages.error(request, refusal.message)
            return redirect("run", id=run.id)
        except Refused as refusal:
            form.add_error(None, f"Nothing was changed. {refusal.message}")
        else:
            messages.success(request, ASKINGS[verb].done)
            return redirect("run", id=run.id)
    elif run.status in Run.ENDED:
        ended = run.get_status_display().lower()
        messages.error(request, f"The run has already {ended}, so there is nothing to {verb}.")
        return redirect("run", id=run.id)
    focus_first(form)
    needs_reason = verb in deeds.NEED_A_REASON
    context = {"run": run, "verb": verb, "asking": ASKINGS[verb], "form": form,
               "note": "others read it" if needs_reason else "optional"}  # fmt: skip
    return render(request, "runs/steer.html", context, status=422 if form.errors else 200)


@page("runs.start", methods=("GET", "POST"))
def fork(request: HttpRequest, id: UUID) -> HttpResponse:
    """A new run that begins where this one was; its input may be another."""
    person = person_of(request)
    run = access.access_run_by_id(person, id, right="runs.start")
    at = _position(request.POST.get("at") or request.GET.get("at", ""))
    try:
        declared = get_workflow(run.workflow)
    except UnknownWorkflow as refusal:
        messages.error(request, f"This run cannot be forked. {refusal.message}")
        return redirect("run", id=run.id)
    schema = of_input(declared.schema, canonical.decode(run.input))
    form = StartForm(schema, request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = _fork(request, run, at, form)
        if made is not None:
            messages.success(request, "The fork has started. The old run stays as it is.")
            return redirect("run", id=made.id)
    focus_first(form)
    kept = Step.objects.filter(run=run, position__lt=min(at, positions.REPLACEMENT))
    context = {
        "run": run,
        "at": at,
        "form": form,
        "step": Step.objects.filter(run=run, position=at).only("name", "position").first(),
        "kept": kept.exclude(status__in=("cancelled",)).count(),
    }
    return render(request, "runs/fork.html", context, status=422 if form.errors else 200)


def _fork(request: HttpRequest, run: Run, at: int, form: StartForm) -> Run | None:
    given = read_input(form)
    is_same = given == canonical.decode(run.input)
    try:
        return deeds.fork(
            person_of(request), run.id, at=at, input=None if is_same else given, request=request
        )
    except InvalidInput as refusal:
        form.take_faults(refusal.errors)
    except (ForkRefused, Refused) as refusal:
        form.add_error(None, f"Nothing was started. {refusal.message}")
    return None


def _position(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 8:
        raise Http404
    return int(text)


class SignalForm(forms.Form):
    """A message for the mailbox of a run; `form_id` makes a second press the same message."""

    form_id = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(
        label="Name",
        max_length=limits.MAX_SIGNAL_NAME,
        widget=forms.TextInput(attrs={"class": "input", "list": "awaited", "autocomplete": "off"}),
    )
    payload = JsonField(
        label="Message", required=False, help_text='A JSON value, for example {"ok": true}.'
    )


@page("runs.signal", methods=("GET", "POST"))
def signal(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    run = access.access_run_by_id(person, id, right="runs.signal")
    waiting = Step.objects.filter(run=run, kind=Step.Kind.SIGNAL, status=Step.Status.WAITING)
    awaited = list(waiting.values_list("name", flat=True).distinct()[:20])
    initial = {"form_id": uuid4(), "name": awaited[0] if len(awaited) == 1 else ""}
    form = SignalForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            sent, _ = deeds.send_signal(
                person,
                run.id,
                name=form.cleaned_data["name"],
                payload=form.cleaned_data["payload"],
                dedup_key=f"{BY_PAGE}{form.cleaned_data['form_id']}",
                request=request,
            )
        except InvalidInput as refusal:
            for pointer, sentence in refusal.errors:
                field = pointer.strip("/")
                form.add_error(field if field in form.fields else None, sentence)
        except Refused as refusal:
            form.add_error(None, f"Nothing was sent. {refusal.message}")
        else:
            messages.success(request, f"The signal {sent.name} lies in the mailbox of the run.")
            return redirect("run", id=sent.run_id)
    focus_first(form)
    context = {"run": run, "form": form, "awaited": awaited}
    return render(request, "runs/signal.html", context, status=422 if form.errors else 200)
