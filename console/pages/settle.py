"""Settling a step in doubt, or a paused one: what is known, the answer, its review."""

from __future__ import annotations

import json
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
from runs import canonical, replacing, schemas
from runs.errors import InvalidArguments, NotCanonical, Refused
from runs.limits import MAX_REASON_CHARACTERS
from runs.models import Step
from runs.settlements import ANSWERS

WITH_RESULT = ("happened", "skip")


class SettleForm(forms.Form):
    """What a person says, about the attempt that the page showed."""

    answer = forms.ChoiceField()
    attempt = forms.IntegerField(widget=forms.HiddenInput, min_value=1)
    result = JsonField(label="Result", required=False)
    arguments = JsonField(label="Other arguments", required=False)
    reason = forms.CharField(
        label="Reason",
        max_length=MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
        error_messages={"required": "Say how you know it: others rely on this."},
    )

    def __init__(self, step: Step, data: Any = None) -> None:
        asked = {"attempt": step.attempt, "arguments": _pretty(step)}
        super().__init__(data, initial=asked)
        self.step = step
        known = [(answer, words.ANSWERS[answer].word) for answer in ANSWERS.get(step.status, ())]
        cast(forms.ChoiceField, self.fields["answer"]).choices = known

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.has_error("answer"):
            self.add_error(None, "Choose one of the answers.")
        if self.has_error("attempt"):
            self.add_error(None, "The form does not say which attempt it is about. Load it again.")
        answer = cleaned.get("answer")
        if answer != "retry_with" and self.has_error("arguments"):
            # They are there to be edited; only who retries with them has to have them right.
            del self.errors["arguments"]
        typed = str(self.data.get("result", "")).strip()
        if answer in WITH_RESULT and not typed:
            self.add_error("result", "Give the result: the workflow goes on with it.")
        if answer and answer not in WITH_RESULT and typed:
            self.add_error(
                "result", f"{RESULT_ONLY[Step.Status(self.step.status)]}; leave this empty."
            )
        if answer == "retry_with" and not self.has_error("arguments"):
            self._check_arguments(cleaned)
        if answer in WITH_RESULT and not self.has_error("result"):
            self._encode(cleaned, "result")
        return cleaned

    @property
    def value(self) -> Any:
        """What goes with the answer: the other arguments, or the result."""
        is_other = self.cleaned_data["answer"] == "retry_with"
        return self.cleaned_data["arguments" if is_other else "result"]

    def _check_arguments(self, cleaned: dict[str, Any]) -> None:
        """Each fault by its place, before the engine would say all of them in one sentence."""
        given = cleaned.get("arguments")
        if not isinstance(given, dict):
            self.add_error("arguments", "Give an object: each argument by its name.")
            return
        if self.step.declaration is not None:
            schema = self.step.declaration.body["schema"]
            known = schema.get("properties", {}).items()
            whole = {name: one["default"] for name, one in known if "default" in one} | given
            for place, sentence in schemas.faults(schema, whole):
                named = place.lstrip("/") or "the whole"
                self.add_error("arguments", f"{named}: {sentence}")
        if not self.has_error("arguments"):
            self._encode(cleaned, "arguments")

    def _encode(self, cleaned: dict[str, Any], field: str) -> None:
        """The bytes by which two answers are compared, or why there are none."""
        try:
            if field == "arguments":
                cleaned["encoded"] = replacing.asked_for(self.step, cleaned[field])
            else:
                cleaned["encoded"] = canonical.encode(cleaned.get(field))
        except (Refused, NotCanonical, InvalidArguments) as refusal:
            self.add_error(field, str(refusal))


RESULT_ONLY = {
    Step.Status.IN_DOUBT: "Only what happened has a result",
    Step.Status.PAUSED: "Only what is skipped has a result",
}


def _pretty(step: Step) -> str:
    if step.status != Step.Status.PAUSED:
        return ""
    return json.dumps(canonical.decode(step.arguments), ensure_ascii=False, indent=2)


@page("runs.view", methods=("GET", "POST"))
def settle(request: HttpRequest, id: UUID, position: int) -> HttpResponse:
    person = person_of(request)
    if request.method == "POST":
        access.require(person, "steps.settle")
        return _take(request, access.access_step(person, id, position))
    step = access.access_step(person, id, position)
    if is_fragment(request) and request.GET.get("part") == "standing":
        return render(request, "runs/_doubt.html", _context(request, step))
    return _show(request, step, SettleForm(step), 200)


def _take(request: HttpRequest, step: Step) -> HttpResponse:
    """Shows the answer once more, and records it only when that was confirmed."""
    form = SettleForm(step, request.POST)
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
            result=form.value,
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
    confirmed = doubts.confirmed_by(doubt) if doubt else {}
    context |= {
        "form": form,
        "confirmed": confirmed.get("happened") or confirmed.get("skip"),
        "confirmed_arguments": confirmed.get("retry_with"),
        "reason_note": "why you choose so" if doubt and doubt.is_paused else "how you know it",
        "example": doubts.example_result(step),
        "answers": [_answer(form, answer, does) for answer, does in doubts.consequences(step)],
    }
    return render(request, "runs/settle.html", context, status=status)


def _answer(form: SettleForm, answer: str, does: str) -> dict[str, Any]:
    """One answer on the page: its word, what it does, and the field that it needs."""
    field = {"happened": "result", "skip": "result", "retry_with": "arguments"}.get(answer)
    return {
        "name": answer,
        "state": words.ANSWERS[answer],
        "does": does,
        "field": form[field] if field else None,
    }


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
