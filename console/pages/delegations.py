"""Delegations: letting another reviewer decide for a while, and taking that back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from approvals import delegations as rooms
from approvals.errors import ApprovalsError
from approvals.limits import DELEGATION_SECONDS
from approvals.models import Delegation, Reviewer
from console.models import User
from console.pages.guard import page, person_of
from console.pages.safeguarding import Asking, ReasonForm, ask, colleagues, select, tabs_of
from console.roles import REVIEWER, roles_of
from console.safeguards import delegating
from runs.clock import database_now

SHOWN = 50
DAYS = DELEGATION_SECONDS // (24 * 60 * 60)


class DelegationForm(ReasonForm):
    """To whom, where, and from when until when (UTC)."""

    to = forms.ChoiceField(label="Who decides for you", widget=select())
    group = forms.ChoiceField(label="In which group", required=False, widget=select())
    from_at = forms.DateTimeField(label="From (UTC)", widget=forms.DateTimeInput())
    until_at = forms.DateTimeField(
        label="Until (UTC)",
        widget=forms.DateTimeInput(),
        help_text=f"Within {DAYS} days. You can revoke it at any time.",
    )

    field_order = ("to", "group", "from_at", "until_at", "reason")

    def __init__(self, people: list[str], groups: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("from_at", "until_at"):
            self.fields[name].widget = forms.DateTimeInput(
                attrs={"class": "input", "type": "datetime-local"}, format="%Y-%m-%dT%H:%M"
            )
        cast(forms.ChoiceField, self.fields["to"]).choices = [(one, one) for one in people]
        if not people:
            self.fields["to"].help_text = "Nobody else here is a reviewer; an admin can make one."
        cast(forms.ChoiceField, self.fields["group"]).choices = [
            ("", "All of mine"),
            *((one, one) for one in groups),
        ]


@page("delegations.make")
def delegations(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    now = database_now()
    found = list(rooms.of_person(person)[:SHOWN])
    for one in found:
        one.state = _state(one, now)  # type: ignore[attr-defined]
        one.is_live = one.state in ("active", "coming")  # type: ignore[attr-defined]
    context = {
        "given": [one for one in found if one.principal_id == person.pk],
        "received": [one for one in found if one.delegate_id == person.pk],
        **tabs_of(person, "delegations"),
    }
    return render(request, "safeguards/delegations.html", context)


def _state(delegation: Delegation, now: datetime) -> str:
    if delegation.revoked_at is not None:
        return "revoked"
    if delegation.until_at <= now:
        return "over"
    return "coming" if delegation.from_at > now else "active"


@page("delegations.make", methods=("GET", "POST"))
def new(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    people = {
        name: one
        for name, one in colleagues(person).items()
        if one.pk != person.pk and REVIEWER in roles_of(one)
    }
    form = DelegationForm(
        list(people), _groups(person), request.POST or None, initial={"from_at": database_now()}
    )
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data | {"to": people[form.cleaned_data["to"]]}
        try:
            delegating.delegate(person, **given, request=request)
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was delegated. {refusal}")
        else:
            messages.success(request, f"{given['to'].username} decides for you in that time.")
            return redirect("delegations")
    return ask(request, _delegating(), form)


def _groups(person: User) -> list[str]:
    mine = Reviewer.objects.filter(tenant=person.tenant, person=person).order_by("group")
    return list(mine.values_list("group", flat=True).distinct())


def _delegating() -> Asking:
    return Asking(
        title="Let somebody decide for you",
        action="Delegate",
        back=reverse("delegations"),
        place="Delegations",
        icon="person",
        leave="Decide yourself",
        facts=(
            ("What happens", "They may decide where you may, and it says on whose behalf."),
            ("What does not", "Neither of you decides about what one of you asked for."),
            ("Way back", "Revoke it. What they have decided by then stands."),
        ),
    )


@page("delegations.make", methods=("GET", "POST"))
def revoke(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    found = delegating.access_delegation(person, id)
    form = forms.Form(request.POST if request.POST.get("confirmed") == "yes" else None)
    if form.is_valid():
        try:
            delegating.revoke_delegation(person, found.pk, request=request)
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was changed. {refusal}")
        else:
            messages.success(request, "The delegation is revoked.")
            return redirect("delegations")
    return ask(request, _revoking(found), form)


def _revoking(delegation: Delegation) -> Asking:
    who = delegation.delegate.get_username()
    return Asking(
        title=f"Revoke {who}'s delegation?",
        action="Revoke it",
        back=reverse("delegations"),
        place="Delegations",
        icon="cross",
        tone="bad",
        facts=(
            ("From now on", f"{who} decides no longer for {delegation.principal.get_username()}."),
            ("What was decided", "by then stands."),
            ("Way back", "Delegate again."),
        ),
    )
