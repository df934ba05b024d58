"""What is asked of who breaks the glass: where and why, and what their key signs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest

from approvals import breakglass, glasskeys
from approvals.limits import BREAKGLASS_MINUTES, MAX_FROZEN_CHARACTERS, MAX_REASON_CHARACTERS
from approvals.models import BreakGlass
from console.models import User
from console.pages.passkeys import keys_context
from console.pages.safeguarding import ReasonForm, select, text_input
from runs.models import new_id


class GlassForm(ReasonForm):
    """Where, for how long, and why."""

    scope = forms.ChoiceField(label="Where", choices=BreakGlass.Scope.choices, widget=select())
    subject = forms.CharField(
        label="Which one",
        required=False,
        max_length=MAX_FROZEN_CHARACTERS,
        widget=text_input(),
        help_text="The name of the tool or workflow. Empty for everything.",
    )
    minutes = forms.IntegerField(
        label="Minutes",
        min_value=1,
        max_value=BREAKGLASS_MINUTES,
        initial=30,
        widget=forms.NumberInput(attrs={"class": "input"}),
        help_text=f"From the confirmation, at most {BREAKGLASS_MINUTES}.",
    )

    field_order = ("scope", "subject", "minutes", "reason")

    def clean_reason(self) -> str:
        """Browsers send each end of a line as two characters; one was signed."""
        return str(self.cleaned_data["reason"]).replace("\r\n", "\n")


class FoundForm(forms.Form):
    """What the review found."""

    found = forms.CharField(
        label="What you found",
        max_length=MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 4}),
        error_messages={"required": "Say what you found: others read this."},
        help_text="Was there no other way? What did the two decide, and was it right?",
    )


def id_of(request: HttpRequest) -> UUID | None:
    """The id that was made with the page, and that a key has signed with the rest."""
    try:
        return UUID(request.POST.get("glass", ""))
    except ValueError:
        return None


def to_open(request: HttpRequest, person: User) -> dict[str, Any]:
    """What the first one signs. Each page has an id of its own: one that was signed gets old."""
    command = f"manage.py breakglass open --user {person.get_username()} --key FILE"
    return {"id": new_id(), "command": command, **keys_context(request, person, glasskeys.TIER)}


def to_confirm(request: HttpRequest, glass: BreakGlass, person: User) -> dict[str, Any]:
    """What the second signs about; `why_not` says why they may not be the second."""
    name = person.get_username()
    return {
        "id": glass.pk,
        "statement": glasskeys.opening_statement(glass).decode(),
        "opener": glass.opened_by.get_username(),
        "why_not": breakglass.why_not_confirm(glass, person),
        "command": f"manage.py breakglass confirm {glass.pk} --user {name} --key FILE",
        **keys_context(request, person, glasskeys.TIER),
    }
