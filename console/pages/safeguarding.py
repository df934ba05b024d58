"""What the pages of the safeguards share: their tabs, their forms, and what a form asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from approvals import breakglass, freezes
from approvals.limits import MAX_REASON_CHARACTERS
from approvals.models import Change
from console.lookingback import find_second_looks
from console.models import User
from console.pages.faults import focus_first
from console.pages.requests import counted
from console.roles import may


def tabs_of(person: User, current: str) -> dict[str, Any]:
    """The tabs with what each has to be looked at, for the context of a page."""
    waiting = Change.objects.filter(tenant=person.tenant, status=Change.Status.OPEN).count()
    tabs = [
        ("freezes", "Freezes", freezes.active(person.tenant).count()),
        ("changes", "Changes", waiting),
        ("groups", "Groups", 0),
        ("breakglass", "Break-glass", breakglass.unreviewed(person.tenant).count()),
    ]
    if may(person, "delegations.make"):
        tabs.append(("delegations", "Delegations", 0))
    if may(person, "looks.take"):
        tabs.append(("second-looks", "Second looks", counted(find_second_looks(person))))
    if may(person, "figures.view"):
        tabs.append(("reviewers", "Reviewers", 0))
    return {"tabs": tabs, "tab": current}


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What a form asks, in words: what happens, and how to leave. `why_not` says to whom it is
    not asked why, and stands in the place of the form."""

    title: str
    action: str
    back: str
    place: str
    lede: str = ""
    icon: str = "check"
    tone: str = "main"
    leave: str = "Leave it as it is"
    facts: tuple[tuple[str, str], ...] = ()
    why_not: str = ""


class ReasonForm(forms.Form):
    """Why; others read it."""

    reason = forms.CharField(
        label="Reason",
        max_length=MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
        error_messages={"required": "Say why: others read this."},
        help_text="Others read it.",
    )


def ask(
    request: HttpRequest,
    asking: Asking,
    form: forms.Form,
    *,
    template: str = "safeguards/form.html",
    **more: Any,
) -> HttpResponse:
    """The page of a form; with status 422 when it was refused."""
    focus_first(form)
    context = {"asking": asking, "form": form, **more}
    status = 422 if form.is_bound and form.errors else 200
    return render(request, template, context, status=status)


def text_input(**attributes: Any) -> forms.TextInput:
    return forms.TextInput(attrs={"class": "input", "autocomplete": "off", **attributes})


def select() -> forms.Select:
    return forms.Select(attrs={"class": "input"})


def colleagues(person: User) -> dict[str, User]:
    """The active people of the tenant, by their names."""
    found = User.objects.filter(tenant=person.tenant, is_active=True).order_by("username")
    return {one.username: one for one in found}
