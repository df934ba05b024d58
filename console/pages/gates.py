"""The inbox, and the page of one gate: the facts, the decision, the receipt."""

from __future__ import annotations

from functools import cache
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from approvals import canaries
from approvals.errors import DecisionRefused, TooFast
from approvals.history import history_of
from approvals.limits import MAX_BATCH
from approvals.models import Gate
from console import access, deeds
from console.pages.batchrows import mark_selectable
from console.pages.facts import facts_of
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from console.pages.history import told_of
from console.pages.inbox import find_open, find_requests, further, tabs_of
from console.pages.pace import too_fast
from console.pages.paging import first_page, next_page
from console.pages.passkeys import behalf_of, sign_context, signed_of
from console.pages.requests import next_for
from console.pages.views import read_asked

GATE_PARTS = {
    "standing": "approvals/_standing.html",
    "people": "approvals/_people.html",
    "asked": "approvals/_asked.html",
    "comments": "approvals/_comment_list.html",
}


VERDICTS = {"approve": "Approve", "deny": "Deny", "changes": "Request changes"}
SAID = {
    "approve": "You approved this request.",
    "deny": "You denied this request.",
    "changes": "You asked for changes; the run is told what you want.",
}
NEEDED = {
    "deny": "Say why you deny it: the requester reads this.",
    "changes": "Say what is to be changed: the run is told, and may ask again.",
}


class DecisionForm(forms.Form):
    """A verdict with its reason, over the digest that the page showed."""

    verdict = forms.ChoiceField(choices=list(VERDICTS.items()))
    digest = forms.RegexField(r"\A[0-9a-f]{64}\Z", widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
    )

    def clean_reason(self) -> str:
        """As it is signed: browsers post the lines of a text with other ends than they show."""
        return str(self.cleaned_data["reason"]).replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        needed = NEEDED.get(cleaned.get("verdict", ""))
        if needed and not cleaned.get("reason"):
            self.add_error("reason", needed)
        return cleaned


@page("gates.view")
def inbox(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    if request.GET.get("part") == "count":
        return render(request, "approvals/_count.html")
    asked = read_asked(person, request.GET.dict())
    found = find_open(person, asked)
    page = find_requests(person, asked, found, request.GET.get("cursor", ""))
    tabs = tabs_of(person, asked, found)
    mark_selectable(person, asked.view, page.items)
    context = {
        "asked": asked,
        "view": asked.view,
        "page": page,
        "tabs": tabs,
        "may_select": any(gate.is_selectable for gate in page.items),  # type: ignore[attr-defined]
        "most": MAX_BATCH,
        "further": further(asked, tabs),
        "unsought": asked.address(asked.view.name, is_filtered=False),
        "tools": access.tools_of(person),
        "is_later_page": bool(request.GET.get("cursor")),
        "first_page": first_page(request),
        "next_page": next_page(request, page.next_cursor),
    }
    template = "approvals/_requests.html" if is_fragment(request) else "approvals/inbox.html"
    return render(request, template, context)


@page("gates.view")
def gate(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    found = access.access_gate_by_id(person, id)
    part = GATE_PARTS.get(request.GET.get("part", ""))
    if part and is_fragment(request):
        return render(request, part, {"gate": found, "facts": facts_of(found, person)})
    return show(request, found, next_gate=cache(lambda: next_for(person)))


def show(
    request: HttpRequest,
    gate: Gate,
    *,
    form: DecisionForm | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    """The whole page of a gate, with what was typed in its forms, if anything was."""
    person = person_of(request)
    facts = facts_of(gate, person)
    context = {
        "gate": gate,
        "facts": facts,
        "form": form or DecisionForm(initial={"digest": facts["digest"]}),
        "told": told_of(history_of(gate)),
        "why_frozen": facts["why_frozen"],
        "behalf_of": lambda: behalf_of(gate, person),  # asked for where there is a form
        **more,
    }
    return render(request, "approvals/gate.html", context, status=status)


@page("gates.decide", methods=("POST",), instead="gate")
def decide(request: HttpRequest, id: UUID) -> HttpResponse:
    """Denies at once; approves only when the review page has been confirmed."""
    person = person_of(request)
    found = access.access_gate_by_id(person, id)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        return _again(request, found, form, 422)
    step = request.POST.get("step", "")
    verdict = cast(deeds.Verdict, form.cleaned_data["verdict"])
    if step == "back":
        return _again(request, found, form, 200)
    if verdict == "approve" and step != "confirmed":
        return _confirm(request, found, form)
    try:
        deeds.decide_at_gate(
            person,
            found.id,
            verdict=verdict,
            reason=form.cleaned_data["reason"],
            digest=form.cleaned_data["digest"],
            typed=request.POST.get("typed", "")[:128],
            signed=signed_of(request.POST),
            request=request,
        )
    except TooFast:
        return too_fast(request, found, form.cleaned_data["reason"])
    except DecisionRefused as refusal:
        form.add_error(None, str(refusal))
        return _again(request, access.access_gate_by_id(person, id), form, 409)
    _say_decided(request, found, verdict)
    return redirect("gate", id=found.id)


def _say_decided(request: HttpRequest, gate: Gate, verdict: str) -> None:
    """At once, and in the same breath, where it was a test."""
    told = canaries.told_to(gate, person_of(request))
    if told is None:
        messages.success(request, SAID[verdict])
    elif told.is_caught:
        messages.success(request, "This was a canary, a test, and you caught it.")
    else:
        messages.error(request, "This was a canary, a test, and you missed it. Nothing was paid.")


@page("gates.decide", methods=("POST",), instead="gate")
def look(request: HttpRequest, id: UUID) -> HttpResponse:
    """The page tells that it was opened: a GET never writes, so this is a call of its own."""
    deeds.look_at_gate(person_of(request), id)
    return HttpResponse(status=204)


@page("gates.decide", methods=("POST",), instead="gate")
def take_back(request: HttpRequest, id: UUID) -> HttpResponse:
    """Takes one's approval back, or says that it is too late."""
    reason = request.POST.get("reason", "").replace("\r\n", "\n")
    try:
        deeds.take_back(person_of(request), id, reason=reason, request=request)
    except DecisionRefused as refusal:
        messages.error(request, f"{refusal} Nothing was changed.")
    else:
        messages.success(request, "You took your approval back.")
    return redirect("gate", id=id)


def _confirm(request: HttpRequest, gate: Gate, form: DecisionForm) -> HttpResponse:
    facts = facts_of(gate, person_of(request))
    if facts["why_not"] or gate.status != Gate.Status.OPEN:
        return _again(request, gate, form, 409)
    deeds.look_at_gate(person_of(request), gate.id)
    context = {"gate": gate, "facts": facts, "form": form}
    context["signing"] = sign_context(request, gate, person_of(request))
    return render(request, "approvals/confirm.html", context)


def _again(request: HttpRequest, gate: Gate, form: DecisionForm, status: int) -> HttpResponse:
    """The gate's page with what was typed, and what stands in the way."""
    if status == 409 and not form.non_field_errors():
        form.add_error(None, "Nothing was recorded: this request is no longer yours to decide.")
    focus_first(form)
    return show(request, gate, form=form, status=status)
