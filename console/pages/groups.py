"""Groups of reviewers: who is in which since when; joining and leaving are changes."""

from __future__ import annotations

from itertools import groupby
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from approvals.errors import ApprovalsError
from approvals.groups import wanted
from approvals.limits import MAX_GROUP_CHARACTERS
from console.models import User
from console.pages.guard import page, person_of
from console.pages.safeguarding import (
    Asking,
    ReasonForm,
    ask,
    colleagues,
    select,
    tabs_of,
    text_input,
)
from console.roles import may
from console.safeguards import changing

KINDS = {"add_reviewer": "Add a member", "remove_reviewer": "Remove a member"}


class MemberForm(ReasonForm):
    """Who joins or leaves which group."""

    kind = forms.ChoiceField(label="What", choices=list(KINDS.items()), widget=select())
    group = forms.CharField(
        label="Group",
        max_length=MAX_GROUP_CHARACTERS,
        widget=text_input(),
        help_text="A name that policies use, for example payments. A new one is made by this.",
        error_messages={"required": "Name the group."},
    )
    username = forms.ChoiceField(label="Person", widget=select())

    field_order = ("kind", "group", "username", "reason")

    def __init__(self, people: dict[str, User], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.ChoiceField, self.fields["username"])
        field.choices = [(name, name) for name in people]


@page("safeguards.view")
def groups(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    context = {
        "groups": _groups(person),
        "may_propose": may(person, "changes.decide"),
        **tabs_of(person, "groups"),
    }
    return render(request, "safeguards/groups.html", context)


def _groups(person: User) -> list[dict[str, Any]]:
    members = changing.find_members(person)
    return [
        {"name": name, "members": list(found), "rules": wanted(person.tenant, name)}
        for name, found in groupby(members, key=lambda one: one.group)
    ]


@page("changes.decide", methods=("GET", "POST"))
def propose(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    people = colleagues(person)
    asked = {name: request.GET.get(name, "") for name in ("kind", "group", "username")}
    form = MemberForm(people, request.POST or None, initial=asked)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            change = changing.propose_member(
                person,
                kind=given["kind"],
                group=given["group"],
                member=people[given["username"]],
                reason=given["reason"],
                request=request,
            )
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was proposed. {refusal}")
        else:
            messages.success(request, "It is proposed. Another admin must agree.")
            return redirect("change", id=change.pk)
    return ask(request, _asking(), form)


def _asking() -> Asking:
    return Asking(
        title="Propose a change of a group",
        action="Propose it",
        back=reverse("groups"),
        place="Groups",
        icon="person",
        facts=(
            (
                "What happens",
                "Another admin must agree, within a week. Until then nothing changes.",
            ),
            ("Way back", "You can take the proposal back until it is agreed to."),
        ),
    )
