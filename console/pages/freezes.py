"""Freezes: what stands still now, freezing at once, proposing a thaw."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from approvals.changes import body_of
from approvals.errors import ApprovalsError
from approvals.limits import MAX_FROZEN_CHARACTERS
from approvals.models import Change, Freeze
from console import access
from console.models import User
from console.pages.changewords import frozen_words
from console.pages.guard import page, person_of
from console.pages.safeguarding import Asking, ReasonForm, ask, select, tabs_of, text_input
from console.safeguards import changing, freezing

SHOWN = 20


class FreezeForm(ReasonForm):
    """What is frozen, and why."""

    scope = forms.ChoiceField(label="What", choices=Freeze.Scope.choices, widget=select())
    subject = forms.CharField(
        label="Which one",
        required=False,
        max_length=MAX_FROZEN_CHARACTERS,
        widget=text_input(),
        help_text="The name of the tool or workflow, or the payee's account. Empty for everything.",
    )

    field_order = ("scope", "subject", "reason")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("scope") != Freeze.Scope.EVERYTHING and not cleaned.get("subject"):
            self.add_error("subject", "Say which one.")
        return cleaned


@page("safeguards.view")
def freezes(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    found = freezing.find_freezes(person)
    active = list(found.filter(lifted_at=None))
    lifted = list(found.exclude(lifted_at=None).order_by("-lifted_at")[:SHOWN])
    proposals = _proposals(person)
    for freeze in (*active, *lifted):
        freeze.words = frozen_words(freeze.scope, freeze.subject)  # type: ignore[attr-defined]
        freeze.proposal = proposals.get(str(freeze.pk))  # type: ignore[attr-defined]
    context = {"active": active, "lifted": lifted, **tabs_of(person, "freezes")}
    return render(request, "safeguards/freezes.html", context)


def _proposals(person: User) -> dict[str, Change]:
    """The open changes that would lift a freeze, by the freeze."""
    found = changing.find_changes(person).filter(kind="thaw", status=Change.Status.OPEN)
    return {body_of(change)["freeze"]: change for change in found}


@page("freezes.make", methods=("GET", "POST"))
def new(request: HttpRequest) -> HttpResponse:
    """One form, prefilled where somebody comes from a gate or a run."""
    person = person_of(request)
    choices = _choices(person, request)
    first = {"scope": "everything", "subject": ""} if not choices else choices[0]
    asked = {name: request.GET.get(name, first[name]) for name in ("scope", "subject")}
    form = FreezeForm(request.POST or None, initial=asked)
    if request.method == "POST" and form.is_valid():
        try:
            made = freezing.freeze(person, **form.cleaned_data, request=request)
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was frozen. {refusal}")
        else:
            what = frozen_words(made.scope, made.subject)
            messages.success(request, f"{what} is frozen. Two admins can thaw it.")
            return redirect("freezes")
    links = [
        (f"?{urlencode(one | _origin(request))}", frozen_words(**one), one == asked)
        for one in choices
    ]
    return ask(request, _freezing(), form, choices=links, choices_label="What to freeze")


def _choices(person: User, request: HttpRequest) -> list[dict[str, str]]:
    """What can be frozen from the gate or the run that somebody comes from."""
    try:
        if "gate" in request.GET:
            gate = access.access_gate_by_id(person, request.GET["gate"])
            found = [("payee", gate.payee or ""), ("tool", gate.tool)]
            found.append(("workflow", gate.run.workflow))
        elif "run" in request.GET:
            found = [("workflow", access.access_run_by_id(person, request.GET["run"]).workflow)]
        else:
            return []
    except access.NotFound:
        return []
    found.append(("everything", ""))
    return [
        {"scope": scope, "subject": subject}
        for scope, subject in found
        if subject or scope == "everything"
    ]


def _origin(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in ("gate", "run") if name in request.GET}


def _freezing() -> Asking:
    return Asking(
        title="Freeze at once",
        action="Freeze",
        back=reverse("freezes"),
        place="Freezes",
        icon="lock",
        tone="bad",
        facts=(
            ("What happens", "Nothing in it is cleared or started any more, from this moment."),
            ("Attempts that have begun", "end: what is on its way is not broken off."),
            ("Requests", "stay open. People can decide; what they approve is held until the thaw."),
            ("Way back", "Two admins thaw it. Everybody sees a banner until then."),
        ),
    )


@page("freezes.make", methods=("GET", "POST"))
def thaw(request: HttpRequest, id: UUID) -> HttpResponse:
    """Proposes the change that lifts a freeze."""
    person = person_of(request)
    freeze = freezing.access_freeze(person, id, right="freezes.make")
    is_confirmed = request.POST.get("confirmed") == "yes"
    form = ReasonForm(request.POST if is_confirmed else None)
    if is_confirmed and form.is_valid():
        try:
            change = freezing.propose_thaw(
                person, freeze.pk, reason=form.cleaned_data["reason"], request=request
            )
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was proposed. {refusal}")
        else:
            messages.success(request, "The thaw is proposed. It stays frozen until admins agree.")
            return redirect("change", id=change.pk)
    return ask(request, _thawing(freeze), form)


def _thawing(freeze: Freeze) -> Asking:
    what = frozen_words(freeze.scope, freeze.subject)
    return Asking(
        title=f"Propose to thaw {what[0].lower()}{what[1:]}",
        action="Propose the thaw",
        back=reverse("freezes"),
        place="Freezes",
        icon="turn",
        leave="Leave it frozen",
        facts=(
            ("Frozen because", freeze.reason),
            ("What happens", "Two admins must agree, you included if you are one."),
            ("Until then", "it stays frozen."),
        ),
    )
