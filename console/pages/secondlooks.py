"""Second looks: what waits for one, and one at a time with the facts of its gate."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from approvals import secondlooks as rooms
from approvals.errors import ApprovalsError
from approvals.limits import FAST_SECONDS, MAX_REASON_CHARACTERS
from approvals.models import SecondLook
from console import access, lookingback
from console.models import User
from console.pages.facts import facts_of
from console.pages.faults import focus_first
from console.pages.guard import page, person_of
from console.pages.safeguarding import tabs_of

SHOWN = 50
SAID = {
    "sampled": "The policy let it through without asking anybody, and it was drawn as a sample.",
    "fast": f"It was approved within {FAST_SECONDS} seconds, or unseen, and it was drawn.",
    "canary": "It is a canary.",
}


class LookForm(forms.Form):
    """What was found."""

    verdict = forms.ChoiceField(
        choices=SecondLook.Verdict.choices,
        error_messages={"required": "Choose one of the two: it was right, or it was wrong."},
    )
    note = forms.CharField(
        label="Note",
        required=False,
        max_length=MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
        help_text="Who decides and who writes the policy read it. It stays.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        is_wrong = cleaned.get("verdict") == SecondLook.Verdict.WRONG
        if is_wrong and not cleaned.get("note") and "note" not in self.errors:
            self.add_error("note", "Say what was wrong: who decides reads this.")
        return cleaned


@page("looks.take")
def second_looks(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    context = {
        "waiting": lookingback.find_second_looks(person)[:SHOWN],
        "taken": lookingback.find_taken_looks(person)[:SHOWN],
        **tabs_of(person, "second-looks"),
    }
    return render(request, "looks/list.html", context)


@page("looks.take", methods=("GET", "POST"))
def second_look(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    look = lookingback.access_second_look(person, id)
    form = LookForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            lookingback.take_second_look(person, id, **form.cleaned_data, request=request)
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was recorded. {refusal}")
        else:
            messages.success(request, "What you found is recorded.")
            return _onward(person)
    return _show(request, person, look, form)


def _onward(person: User) -> HttpResponse:
    following = lookingback.find_second_looks(person).first()
    return redirect("second-look", id=following.pk) if following else redirect("second-looks")


def _show(request: HttpRequest, person: User, look: SecondLook, form: LookForm) -> HttpResponse:
    focus_first(form)
    gate = access.access_gate_by_id(person, look.gate_id)
    context = {
        "look": look,
        "gate": gate,
        "facts": facts_of(gate, person),
        "why_drawn": SAID[look.why],
        "why_not_look": rooms.why_not(look, person),
        "form": form,
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "looks/look.html", context, status=status)
