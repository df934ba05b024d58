"""Breaking the glass: opening it, confirming it, and saying afterwards what was found."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from approvals import breakglass
from approvals.errors import ApprovalsError
from approvals.models import BreakGlass
from console.models import User
from console.pages.changewords import glass_words
from console.pages.glassform import FoundForm, GlassForm, id_of, to_confirm, to_open
from console.pages.guard import page, person_of
from console.pages.passkeys import signed_of
from console.pages.safeguarding import Asking, ask, tabs_of
from console.roles import may
from console.safeguards import breaking
from runs.clock import database_now

SHOWN = 30
DONE = ("reviewed", "lapsed", "refused")


@page("safeguards.view")
def glasses(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    now = database_now()
    told: list[Any] = list(breakglass.of_tenant(person.tenant)[:SHOWN])
    for glass in told:
        _tell(glass, person, now)
    context = {
        "current": [one for one in told if one.state not in DONE],
        "past": [one for one in told if one.state in DONE],
        "may_open": may(person, "breakglass.open"),
        "is_verifying": any(one.state == "verifying" for one in told),
        "is_blocked": breakglass.unreviewed(person.tenant).exists(),
        **tabs_of(person, "breakglass"),
    }
    return render(request, "safeguards/breakglass.html", context)


def _tell(glass: BreakGlass, person: User, now: datetime) -> None:
    """What the page says of one, and what this person may do about it."""
    told: Any = glass
    told.state = _state(glass, now)
    told.where = glass_words(glass)
    may_confirm = told.state == "waiting" and may(person, "breakglass.open")
    told.why_not_confirm = breakglass.why_not_confirm(glass, person) if may_confirm else ""
    told.may_confirm = may_confirm and not told.why_not_confirm
    is_due = told.state in ("unreviewed", "overdue") and may(person, "breakglass.review")
    told.why_not_review = breakglass.why_not_review(glass, person) if is_due else ""
    told.may_review = is_due and not told.why_not_review


def _state(glass: BreakGlass, now: datetime) -> str:
    second = getattr(glass, "confirmation", None)
    if second is None:
        return "waiting" if breakglass.is_confirmable(glass, now) else "lapsed"
    if hasattr(glass, "review"):
        return "reviewed"
    if not hasattr(glass, "proof"):
        return "verifying"
    if not breakglass.is_proven(glass):
        return "refused"
    if breakglass.is_open(glass, now):
        return "open"
    return "overdue" if breakglass.is_late(glass, now) else "unreviewed"


@page("breakglass.open", methods=("GET", "POST"))
def open_glass(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    form = GlassForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            signed = signed_of(request.POST)
            about = form.cleaned_data | {"id": id_of(request)}
            breaking.open_glass(person, **about, signed=signed, request=request)
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was opened. {refusal}")
        else:
            messages.success(request, "It waits for a second person to confirm it.")
            return redirect("breakglass")
    signing = to_open(request, person)
    return ask(request, _opening(), form, template="safeguards/glass.html", signing=signing)


def _opening() -> Asking:
    return Asking(
        title="Break the glass",
        action="Ask to break it",
        back=reverse("breakglass"),
        place="Break-glass",
        icon="alert",
        tone="bad",
        leave="Leave it whole",
        facts=(
            ("What happens", "Once a second person confirms it with a key of theirs, and the"
             " gatekeeper has verified both keys, both of you may decide there, whatever group is"
             " asked for. How many must agree stays the same."),
            ("What does not", "Who asked for a run still does not decide about it."),
            ("Afterwards", "Somebody else reviews it within a day. Until then nobody can break"
             " it again."),
            ("Who is told", "Everybody: a banner is on every page while it is open."),
        ),
    )  # fmt: skip


@page("breakglass.open", methods=("GET", "POST"))
def confirm(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    glass = breaking.access_glass(person, id, right="breakglass.open")
    form = forms.Form(request.POST if request.POST.get("confirmed") == "yes" else None)
    if form.is_valid():
        try:
            signed = signed_of(request.POST)
            breaking.confirm_glass(person, glass.pk, signed=signed, request=request)
        except ApprovalsError as refusal:
            form.add_error(None, f"It stays whole. {refusal}")
        else:
            messages.success(
                request,
                "It is confirmed. Both of you may decide once the gatekeeper has verified it.",
            )
            return redirect("breakglass")
    asking, signing = _confirming(glass), to_confirm(request, glass, person)
    return ask(request, asking, form, template="safeguards/glass.html", signing=signing)


def _confirming(glass: BreakGlass) -> Asking:
    opener = glass.opened_by.get_username()
    return Asking(
        title=f"Confirm that {opener} and you break the glass?",
        action="Confirm it",
        back=reverse("breakglass"),
        place="Break-glass",
        icon="alert",
        tone="bad",
        leave="Leave it whole",
        facts=(
            ("Why", glass.reason),
            ("Where", f"{glass_words(glass)[0].upper()}{glass_words(glass)[1:]}."),
            ("How long", f"{glass.minutes} minutes from now, by the database's clock."),
            (
                "What happens",
                f"{opener} and you may decide there. How many must agree stays the same.",
            ),
            (
                "Way back",
                "It ends early when either of the two keys is revoked. Somebody else reviews"
                " it afterwards.",
            ),
        ),
    )


@page("breakglass.review", methods=("GET", "POST"))
def review(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    glass = breaking.access_glass(person, id, right="breakglass.review")
    is_confirmed = request.POST.get("confirmed") == "yes"
    form = FoundForm(request.POST if is_confirmed else None)
    if is_confirmed and form.is_valid():
        try:
            breaking.review_glass(
                person, glass.pk, found=form.cleaned_data["found"], request=request
            )
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was recorded. {refusal}")
        else:
            messages.success(request, "It is reviewed.")
            return redirect("breakglass")
    return ask(request, _reviewing(glass, breakglass.why_not_review(glass, person)), form)


def _reviewing(glass: BreakGlass, why_not: str) -> Asking:
    second = getattr(glass, "confirmation", None)
    two = glass.opened_by.get_username()
    if second is not None:
        two += f" and {second.person.get_username()}"
    before = getattr(glass, "review", None)
    found = () if before is None else (("What was found", before.found),)
    return Asking(
        title="Review a broken glass",
        action="Record the review",
        back=reverse("breakglass"),
        place="Break-glass",
        icon="audit",
        leave="Leave it for now",
        facts=(
            ("Who", two),
            ("Why", glass.reason),
            ("Where", f"{glass_words(glass)[0].upper()}{glass_words(glass)[1:]}."),
            ("What they did", "The audit lists what each of them decided meanwhile."),
            *found,
        ),
        why_not=why_not,
    )
