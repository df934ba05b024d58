"""What a person approved lately, to be looked over before they go on."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from approvals import pace as rooms
from approvals.errors import DecisionRefused
from approvals.limits import RATE_APPROVALS, RATE_SECONDS
from approvals.models import Gate
from console.lookingback import recap
from console.models import User
from console.pages.guard import page, person_of
from console.pages.words import money


class RecapForm(forms.Form):
    """Up to which approval the page showed them, and where the person was about to go on."""

    upto = forms.UUIDField(widget=forms.HiddenInput)
    gate = forms.UUIDField(required=False, widget=forms.HiddenInput)


@page("gates.decide", methods=("GET", "POST"))
def pace(request: HttpRequest) -> HttpResponse:
    """Shows the pace; a confirmed POST records that the approvals were looked over."""
    person = person_of(request)
    if request.method != "POST":
        return _show(request, person)
    form = RecapForm(request.POST)
    try:
        if not form.is_valid():
            raise DecisionRefused("This page did not say what it showed; look again.")
        recap(person, upto=form.cleaned_data["upto"], request=request)
    except DecisionRefused as refusal:
        return _show(request, person, refusal=f"Nothing was recorded. {refusal}", status=409)
    messages.success(request, "You looked over your approvals. You can approve again.")
    gate = form.cleaned_data["gate"]
    return redirect("gate", id=gate) if gate else redirect("inbox")


def too_fast(request: HttpRequest, gate: Gate, reason: str) -> HttpResponse:
    """Instead of an approval that came too fast: what was approved, and what was typed."""
    return _show(request, person_of(request), gate=gate, reason=reason, status=409)


def _show(
    request: HttpRequest,
    person: User,
    *,
    gate: Gate | None = None,
    reason: str = "",
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    found = rooms.pace_of(person)
    context: dict[str, Any] = {
        "pace": found,
        "sums": [money(minor, currency) for currency, minor in found.sums.items()],
        "upto": found.approvals[0].pk if found.approvals else None,
        "gate": gate,
        "reason": reason,
        "refusal": refusal,
        "most": RATE_APPROVALS,
        "minutes": RATE_SECONDS // 60,
    }
    return render(request, "approvals/pace.html", context, status=status)
