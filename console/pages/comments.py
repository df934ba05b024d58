"""Comments at a gate: a list that is live, and a form that stays as it is while one types."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from approvals.errors import CommentRefused
from approvals.limits import MAX_COMMENT_CHARACTERS
from console import access
from console.commenting import comment_at_gate
from console.pages.faults import focus_first
from console.pages.gates import show
from console.pages.guard import page, person_of


class CommentForm(forms.Form):
    """What somebody says, as plain text."""

    text = forms.CharField(
        label="Comment",
        max_length=MAX_COMMENT_CHARACTERS,
        error_messages={"required": "A comment needs some words."},
        widget=forms.Textarea(attrs={"class": "input", "rows": 2}),
        help_text="Who decides and who asked are told. A comment decides nothing and stays.",
    )


@page("gates.comment", methods=("POST",), instead="gate")
def comment(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    form = CommentForm(request.POST)
    if form.is_valid():
        try:
            comment_at_gate(person, id, text=form.cleaned_data["text"], request=request)
            return redirect(reverse("gate", args=[id]) + "#comments-title")
        except CommentRefused as refusal:
            form.add_error("text", str(refusal))
    return _again(request, id, form)


def _again(request: HttpRequest, id: UUID, form: CommentForm) -> HttpResponse:
    """The gate's page with what was typed, and why it was not kept."""
    gate = access.access_gate_by_id(person_of(request), id)
    focus_first(form)
    return show(request, gate, comment_form=form, status=422)
