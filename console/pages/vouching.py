"""Vouching for a fresh key of somebody else: proposed here, agreed to on the page of changes."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from approvals.errors import ApprovalsError
from approvals.models import Key
from console import keyring
from console.pages.guard import page, person_of
from console.pages.safeguarding import Asking, ReasonForm, ask
from console.safeguards import changing


@page("changes.decide", methods=("GET", "POST"))
def vouch(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    key = keyring.access_key_by_id(person, id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            change = changing.propose_vouching(person, id, reason=reason, request=request)
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was proposed. {refusal}")
        else:
            messages.success(request, "It is proposed. Another admin must agree.")
            return redirect("change", id=change.pk)
    return ask(request, _asking(key), form)


def _asking(key: Key) -> Asking:
    whose = key.person.get_username()
    return Asking(
        title=f"Vouch for the key {key.name} of {whose}?",
        action="Propose it",
        back=reverse("keys"),
        place="Keys",
        icon="key",
        facts=(
            ("What happens", "Another admin must agree. Then the key signs for every tier at once,"
             " instead of after a day, and may break the glass."),
            ("Before you do", f"Ask {whose}, in person or by a call that you make, whether this key"
             " is theirs: a stolen session can enrol one too."),
            ("Way back", "You can take the proposal back until it is agreed to; an admin can"
             " revoke the key at any time."),
        ),
    )  # fmt: skip
