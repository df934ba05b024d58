"""Settling a step in doubt: what is known and what is not, the answer, its review."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from console import access, deeds
from console.pages import doubts, words
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from console.pages.startform import JsonField
from runs import canonical
from runs.errors import NotCanonical, Refused
from runs.limits import MAX_REASON_CHARACTERS
from runs.models import Step

ANSWERS = [(answer, state.word) for answer, state in words.ANSWERS.items()]


class SettleForm(forms.Form):
    """What a person says, about the attempt that the page showed."""

    answer = forms.ChoiceField(choices=ANSWERS)
    attempt = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    result = JsonField(label="Result", required=False)
    reason = forms.CharField(
        label="Reason",
        max_length=MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
        error_messages={"required": "Say how you know it: others rely on this."},
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.has_error("answer"):
            self.add_error(None, "Choose one of the three answers.")
        if self.has_error("attempt"):
            self.add_error(None, "The form does not say which attempt it is about. Load it again.")
        typed = str(self.data.get("result", "")).strip()
        if cleaned.get("answer") == "happened" and not typed:
            self.add_error("result", "Give the result: the workflow goes on with it.")
        if cleaned.get("answer") in ("did_not_happen", "give_up") and typed:
            self.add_error("result", "Only what happened has a result; leave this empty.")
        if typed and not self.has_error("result"):
            self._encode(cleaned)
        return cleaned

    def _encode(self, cleaned: dict[str, Any]) -> None:
        """The bytes by which two answers are compared, or why there are none."""
        try:
            cleaned["encoded"] = canonical.encode(cleaned.get("result"))
        except (Refused, NotCanonical) as refusal:
            self.add_error("result", str(refusal))


@page("runs.view", methods=("GET", "POST"))
def settle(request: HttpRequest, id: UUID, position: int) -> HttpResponse:
    person = person_of(request)
    if request.method == "POST":
        access.require(person, "steps.settle")
        return _take(request, access.access_step(person, id, position))
    step = access.access_step(person, id, position)
    if is_fragment(request) and request.GET.get("part") == "standing":
        return render(request, "runs/_doubt.html", _context(request, step))
    return _show(request, step, SettleForm(initial={"attempt": step.attempt}), 200)


def _take(request: HttpRequest, step: Step) -> HttpResponse:
    """Shows the answer once more, and records it only when that was confirmed."""
    form = SettleForm(request.POST)
    if doubts.why_not(step, person_of(request))[0]:
        form.add_error(None, "Nothing was recorded: this is not (or no longer) yours to settle.")
        return _show(request, step, form, 409)
    if not form.is_valid():
        return _show(request, step, form, 422)
    at = request.POST.get("step", "")
    if at == "back":
        return _show(request, step, form, 200)
    if at != "confirmed":
        return _review(request, step, form)
    return _record(request, step, form)


def _record(request: HttpRequest, step: Step, form: SettleForm) -> HttpResponse:
    answer = form.cleaned_data["answer"]
    try:
        deeds.settle(
            person_of(request),
            step.run_id,
            step.position,
            answer=cast(deeds.Answer, answer),
            reason=form.cleaned_data["reason"],
            result=form.cleaned_data["result"],
            attempt=form.cleaned_data["attempt"],
            request=request,
        )
    except Refused as refusal:
        form.add_error(None, f"Nothing was recorded. {refusal}")
        return _show(request, _again(request, step), form, 409)
    messages.success(request, f"Your answer is recorded: {words.ANSWERS[answer].word.lower()}.")
    return redirect("step-settle", id=step.run_id, position=step.position)


def _again(request: HttpRequest, step: Step) -> Step:
    return access.access_step(person_of(request), step.run_id, step.position)


def _review(request: HttpRequest, step: Step, form: SettleForm) -> HttpResponse:
    (doubt,) = doubts.doubts_of([step])
    answer, encoded = form.cleaned_data["answer"], form.cleaned_data.get("encoded")
    context = {
        "step": step,
        "doubt": doubt,
        "form": form,
        "answer": answer,
        "answer_words": words.ANSWERS[answer].word,
        "result": encoded,
        "follows": doubts.consequence_of(doubt, answer, encoded),
    }
    return render(request, "runs/settle_confirm.html", context)


def _show(request: HttpRequest, step: Step, form: SettleForm, status: int) -> HttpResponse:
    focus_first(form)
    context = _context(request, step)
    doubt = context["doubt"]
    context |= {
        "form": form,
        "confirmed_by": doubts.confirmed_by(doubt) if doubt else None,
        "example": doubts.example_result(step),
        "consequences": doubts.consequences(step),
    }
    return render(request, "runs/settle.html", context, status=status)


def _context(request: HttpRequest, step: Step) -> dict[str, Any]:
    standing, why_not = doubts.why_not(step, person_of(request))
    return {
        "step": step,
        "run": step.run,
        "doubt": next(iter(doubts.doubts_of([step])), None),
        "said": list(step.settlements.all()),
        "standing": standing,
        "why_not": why_not,
    }
