"""Changes: what takes two admins, what it would do, who said what of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from approvals.changes import body_of, why_not
from approvals.envelope import phrase
from approvals.errors import ApprovalsError
from approvals.limits import MAX_REASON_CHARACTERS
from approvals.models import Change, ChangeVoice
from approvals.rules.short import to_yaml
from console import rulebook
from console.models import User
from console.pages.changewords import effects_of, title_of
from console.pages.faults import focus_first
from console.pages.guard import page, person_of
from console.pages.safeguarding import tabs_of
from console.roles import may
from console.safeguards import changing

SHOWN = 50


class VoiceForm(forms.Form):
    """What somebody says of the change whose digest they saw."""

    why_needed = "Say why you refuse it: its proposer reads this."
    verdict = forms.ChoiceField(choices=ChangeVoice.Verdict.choices)
    digest = forms.RegexField(r"\A[0-9a-f]{64}\Z", widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("verdict") == ChangeVoice.Verdict.REFUSE and not cleaned.get("reason"):
            self.add_error("reason", self.why_needed)
        return cleaned


@page("safeguards.view")
def changes(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    found = changing.find_changes(person)
    is_open = found.filter(status=Change.Status.OPEN).order_by("expires_at", "id")
    context = {
        "waiting": [_titled(one) for one in is_open[:SHOWN]],
        "closed": [_titled(one) for one in found.exclude(status=Change.Status.OPEN)[:SHOWN]],
        **tabs_of(person, "changes"),
    }
    return render(request, "safeguards/changes.html", context)


def _titled(change: Change) -> Change:
    change.title = title_of(change.kind, body_of(change))  # type: ignore[attr-defined]
    change.agreed = _agreed(change)  # type: ignore[attr-defined]
    return change


def _agreed(change: Change) -> list[str]:
    """Who is for it, by name; the proposer first."""
    approve = ChangeVoice.Verdict.APPROVE
    voices = sorted(change.voices.all(), key=lambda voice: voice.at)
    for_it = [voice.person.get_username() for voice in voices if voice.verdict == approve]
    return [change.proposed_by.get_username(), *for_it]


@page("safeguards.view")
def change(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    found = changing.access_change(person, id)
    form = VoiceForm(initial={"digest": bytes(found.digest).hex()})
    return render(request, "safeguards/change.html", _context(person, found, form))


@page("safeguards.view", methods=("POST",), instead="change")
def say(request: HttpRequest, id: UUID) -> HttpResponse:
    """An admin agrees or refuses; the proposer may refuse their own, which withdraws it."""
    person = person_of(request)
    found = changing.access_change(person, id)
    if person.pk != found.proposed_by_id:
        changing.access_change(person, id, right="changes.decide")
    form = VoiceForm(request.POST)
    if person.pk == found.proposed_by_id:
        form.why_needed = "Say why you take it back: others read this."
    if form.is_valid():
        try:
            changing.say(person, found.pk, **form.cleaned_data, request=request)
        except ApprovalsError as refusal:
            form.add_error(None, f"Nothing was recorded. {refusal}")
        else:
            messages.success(request, _said(person, found, form.cleaned_data["verdict"]))
            return redirect("change", id=found.pk)
    focus_first(form)
    found = changing.access_change(person, id)
    context = _context(person, found, form)
    return render(request, "safeguards/change.html", context, status=422)


def _said(person: User, change: Change, verdict: str) -> str:
    if verdict == ChangeVoice.Verdict.APPROVE:
        return "You agreed. Once two admins have, it is carried out within seconds."
    return "You took it back." if person.pk == change.proposed_by_id else "You refused it."


def _context(person: User, change: Change, form: VoiceForm) -> dict[str, Any]:
    body = body_of(change)
    is_own = person.pk == change.proposed_by_id
    is_open = change.status == Change.Status.OPEN
    may_say = is_own or may(person, "changes.decide")
    return {
        "change": change,
        "title": title_of(change.kind, body),
        "body": body,
        "effects": effects_of(change, body),
        **_policy_of(change, body),
        "voices": sorted(change.voices.all(), key=lambda voice: voice.at),
        "digest": bytes(change.digest).hex(),
        "phrase": phrase(bytes(change.digest)),
        "why_not": why_not(change, person),
        "may_approve": is_open and may(person, "changes.decide") and not why_not(change, person),
        "may_refuse": is_open and may_say and not why_not(change, person, is_refusal=True),
        "is_own": is_own,
        "form": form,
    }


def _policy_of(change: Change, body: dict[str, Any]) -> dict[str, Any]:
    """A proposed policy as its page shows it, in the place of the bare values."""
    if change.kind != "publish_policy":
        return {}
    basis = rulebook.document_of(rulebook.basis_of(change))
    return {"differences": rulebook.differences(basis, body), "yaml": to_yaml(body)}
