"""The policy: its rules in words, its versions, and drafts, which live in their form alone."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from approvals import planting
from approvals import policies as published
from approvals.envelope import phrase
from approvals.errors import ApprovalsError
from approvals.limits import MAX_REASON_CHARACTERS
from approvals.models import Change, Policy
from approvals.rules.short import to_yaml
from console import access, rulebook
from console.models import User
from console.pages.faults import focus_first
from console.pages.guard import page, person_of
from console.pages.policywords import canaries_of, freezes_of, place_of, rules_of, trial_of
from console.roles import may

SHOWN = 50
NO_TEXT = "The file is not text in UTF-8. What stood in the form is still there."
AN_EXAMPLE = """\
rules:
  - name: Payments up to 10,000 euro
    when: {tool: pay_invoice, amount: {currency: EUR, up_to_minor: 1000000}}
    then:
      consent: {group: payments, count: 1}
"""
"""What a first draft begins with."""


class DraftForm(forms.Form):
    """The text of a draft, whatever it says: `rulebook.look_at` tells what is wrong with it."""

    text = forms.CharField(
        label="The policy, in YAML or JSON",
        strip=False,
        required=False,
        widget=forms.Textarea(
            attrs={"class": "input input-code draft-text", "rows": 24, "spellcheck": "false"}
        ),
    )
    upload = forms.FileField(
        label="Or take the text of a file",
        required=False,
        allow_empty_file=True,
        help_text="It takes the place of the text above, and is checked; nothing is proposed.",
        widget=forms.FileInput(attrs={"class": "input", "accept": ".yaml,.yml,.json,text/*"}),
    )
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 2}),
        help_text="The second admin reads it.",
    )
    base = forms.IntegerField(widget=forms.HiddenInput, min_value=0)


@page("policies.view")
def policies(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    found = list(rulebook.find_versions(person)[:SHOWN])
    current = published.in_force(person.tenant)
    proposed = Change.objects.filter(
        tenant=person.tenant, kind="publish_policy", status=Change.Status.OPEN
    )
    context = {
        "versions": found,
        "shown": SHOWN,
        "proposed": list(proposed.order_by("-proposed_at")[:SHOWN]),
        "has_no_model": not planting.models_of(person.tenant).exists(),
        **_shown(current),
        **_rights(person),
    }
    return render(request, "policies/list.html", context)


@page("policies.view")
def version(request: HttpRequest, number: int) -> HttpResponse:
    person = person_of(request)
    found = rulebook.access_version(person, number)
    before = rulebook.version_before(found)
    context = {
        "before": before,
        "differences": rulebook.differences(rulebook.document_of(before), found.body),
        "yaml": to_yaml(found.body),
        **_shown(found),
        **_rights(person),
    }
    return render(request, "policies/version.html", context)


def _shown(version: Policy | None) -> dict[str, Any]:
    document = rulebook.document_of(version)
    return {
        "version": version,
        "rules": rules_of(document),
        "lists": document["lists"],
        "freezes": freezes_of(document),
        "canaries": canaries_of(document),
        "digest": bytes(version.digest).hex() if version else "",
        "phrase": phrase(bytes(version.digest)) if version else "",
    }


def _rights(person: User) -> dict[str, bool]:
    return {"may_draft": may(person, "changes.decide")}


@page("changes.decide", methods=("GET", "POST"))
def draft(request: HttpRequest) -> HttpResponse:
    """Checks a draft, tries it on past requests, or proposes it, by which button was pressed."""
    person = person_of(request)
    current = published.in_force(person.tenant)
    if request.method != "POST":
        return _draft_page(request, current, DraftForm(initial=_begin(request, person, current)))
    verb = request.POST.get("verb", "check")
    form = DraftForm(_taken(request), request.FILES)
    if not form.is_valid():
        return _draft_page(request, current, form, is_refused=True)
    if form.cleaned_data["upload"]:
        verb = "check"
    found = rulebook.look_at(person.tenant, form.cleaned_data["text"])
    if found.document is None:
        return _draft_page(request, current, form, found=found, is_refused=True)
    more: dict[str, Any] = {"found": found, "is_refused": bool(found.faults)}
    if verb == "try":
        more["trial"] = trial_of(rulebook.try_on_past(person, found.document))
    elif verb == "propose" and not found.faults:
        change = _propose(request, person, form, found.document)
        if change is not None:
            messages.success(request, "It is proposed. Another admin must agree.")
            return redirect("change", id=change.pk)
        more["is_refused"] = True
    return _draft_page(request, published.in_force(person.tenant), form, **more)


def _begin(request: HttpRequest, person: User, current: Policy | None) -> dict[str, Any]:
    """What a draft begins with: a version that was asked for, or the one in force."""
    asked = request.GET.get("from", "")
    start = current
    if asked:
        if not asked.isdecimal() or len(asked) > 9:
            raise access.NotFound("There is no such version.")
        start = rulebook.access_version(person, int(asked))
    text = AN_EXAMPLE if start is None else to_yaml(start.body)
    return {"text": text, "base": _number(current)}


def _taken(request: HttpRequest) -> dict[str, Any]:
    """What was sent, with the text of an uploaded file in the place of the text in the form."""
    given: dict[str, Any] = request.POST.dict()
    upload = request.FILES.get("upload")
    if isinstance(upload, UploadedFile):
        try:
            given["text"] = upload.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            messages.error(request, NO_TEXT)
    return given


def _propose(
    request: HttpRequest, person: User, form: DraftForm, document: dict[str, Any]
) -> Change | None:
    given = form.cleaned_data
    try:
        return rulebook.propose(
            person, document, base=given["base"], reason=given["reason"], request=request
        )
    except ApprovalsError as refusal:
        form.add_error(None, f"Nothing was proposed. {refusal}")
        return None


def _draft_page(
    request: HttpRequest,
    current: Policy | None,
    form: DraftForm,
    *,
    found: rulebook.Draft | None = None,
    trial: Any = None,
    is_refused: bool = False,
) -> HttpResponse:
    focus_first(form)
    if form.is_bound:
        # Whoever proposes next has seen on this page what differs from the version in force.
        form.data = {**form.data, "base": _number(current)}
    document = found.document if found else None
    context = {
        "form": form,
        "current": current,
        "found": found,
        "faults": [(place_of(at), at, said) for at, said in found.faults] if found else [],
        "warnings": [(place_of(at), said) for at, said in found.warnings] if found else [],
        "trial": trial,
        "phrase": phrase(bytes.fromhex(found.digest)) if found and found.digest else "",
        "differences": rulebook.differences(rulebook.document_of(current), document)
        if document
        else [],
    }
    return render(request, "policies/draft.html", context, status=422 if is_refused else 200)


def _number(version: Policy | None) -> int:
    return 0 if version is None else version.number
