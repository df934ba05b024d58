"""Steering many runs at once: which, how many, and only then what."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from console import deeds
from console.pages.faults import focus_first
from console.pages.guard import page, person_of
from console.pages.runs import current_workflows
from console.pages.steer import ASKINGS
from console.pages.words import RUN_STATES
from runs import limits
from runs.bulk import VERBS, Applied, Filter, Found
from runs.errors import Refused
from runs.models import Run

SHOWN = 10
SHOWN_REFUSED = 50
UNENDED = [(key, state.word) for key, state in RUN_STATES.items() if key not in Run.ENDED]


class FilterForm(forms.Form):
    """Which runs; the same names are in the address of the page."""

    workflow = forms.ChoiceField(label="Workflow", required=False)
    status = forms.ChoiceField(
        label="Status", required=False, choices=[("", "Not ended"), *UNENDED]
    )
    requested_by = forms.CharField(label="Requester", required=False, max_length=150)
    waiting_for = forms.CharField(label="Waits for", required=False, max_length=255)
    created_from = forms.DateTimeField(label="Started since (UTC)", required=False)
    created_before = forms.DateTimeField(label="Started before (UTC)", required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        names = current_workflows().values_list("name", "name")
        cast(forms.ChoiceField, self.fields["workflow"]).choices = [("", "Any workflow"), *names]
        for name, field in self.fields.items():
            if name.startswith("created"):
                field.widget = forms.DateTimeInput(
                    attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"
                )
            field.widget.attrs["class"] = "input"

    @property
    def filter(self) -> Filter:
        return Filter(**{name: value for name, value in self.cleaned_data.items() if value})


class ActionForm(forms.Form):
    """What is asked of the runs that were counted."""

    verb = forms.ChoiceField(choices=[(verb, verb) for verb in VERBS])
    fingerprint = forms.RegexField(r"\A[0-9a-f]{64}\Z", widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=limits.MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.has_error("verb"):
            self.add_error(None, "Choose what is to be done.")
        if self.has_error("fingerprint"):
            self.add_error(None, "The form does not say which runs were counted. Load it again.")
        if cleaned.get("verb") in deeds.NEED_A_REASON and not cleaned.get("reason"):
            self.add_error("reason", "Say why: others read this.")
        return cleaned


@page("runs.cancel", methods=("GET", "POST"))
def bulk(request: HttpRequest) -> HttpResponse:
    """Counts what the filter finds; acts on exactly these once the number was confirmed."""
    which = FilterForm(request.GET)
    is_asked = any(request.GET.get(name, "").strip() for name in which.fields)
    found: Found | None = None
    if is_asked and which.is_valid():
        try:
            found = deeds.find_for_bulk(person_of(request), which.filter)
        except Refused as refusal:
            which.add_error(None, refusal.message)
    if found is not None and request.method == "POST":
        return _take(request, which, found)
    form = ActionForm(initial={"fingerprint": found.fingerprint} if found else {})
    return _show(request, which, found, form, 422 if is_asked and which.errors else 200)


def _take(request: HttpRequest, which: FilterForm, found: Found) -> HttpResponse:
    form = ActionForm(request.POST)
    if form.is_valid() and form.cleaned_data["fingerprint"] != found.fingerprint:
        form.add_error(None, f"Nothing was done: the filter finds other runs by now, {found.count}"
                             " of them. Look again.")  # fmt: skip
    if not form.is_valid():
        return _show(request, which, found, form, 422)
    if request.POST.get("step") == "back":
        return _show(request, which, found, form, 200)
    verb = cast(deeds.Verb, form.cleaned_data["verb"])
    if request.POST.get("step") != "confirmed":
        context = {"count": found.count, "form": form, "asking": ASKINGS[verb], "verb": verb}
        return render(request, "runs/bulk_confirm.html", context)
    try:
        applied = deeds.steer_many(
            person_of(request),
            which.filter,
            verb,
            fingerprint=form.cleaned_data["fingerprint"],
            reason=form.cleaned_data["reason"],
            request=request,
        )
    except Refused as refusal:
        form.add_error(None, f"Nothing was done. {refusal.message}")
        return _show(request, which, found, form, 409)
    return render(request, "runs/bulk_done.html", {"verb": verb, **_told(applied)})


def _told(applied: Applied) -> dict[str, Any]:
    return {
        "done": len(applied.done),
        "unchanged": len(applied.unchanged),
        "refused": applied.refused[:SHOWN_REFUSED],
        "more_refused": max(0, len(applied.refused) - SHOWN_REFUSED),
    }


def _show(
    request: HttpRequest, which: FilterForm, found: Found | None, form: ActionForm, status: int
) -> HttpResponse:
    focus_first(form)
    context: dict[str, Any] = {"which": which, "found": found, "form": form}
    if found is not None:
        first = Run.objects.filter(pk__in=found.ids[:SHOWN]).select_related("requested_by")
        context["runs"] = first.defer("input", "result").order_by("pk")
        context["more"] = max(0, found.count - SHOWN)
        context["fingerprint"] = found.fingerprint
        context["verbs"] = [(verb, ASKINGS[verb]) for verb in VERBS]
    return render(request, "runs/bulk.html", context, status=status)
