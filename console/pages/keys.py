"""The page of one's keys: enrol a passkey or a key file, see each of them, revoke."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from approvals import limits
from approvals.enrolment import Enrolment
from approvals.errors import DecisionRefused, KeyRefused
from approvals.keys import standing_keys_of
from approvals.registry import Introduction
from console import keyring
from console.models import User
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from console.pages.passkeys import (
    checked_challenge,
    named_address,
    new_challenge,
    signed_of,
    to_bytes,
    to_text,
    usable_keys,
)
from console.roles import may


class KeyForm(forms.Form):
    """A name, and the public key of a file; a passkey is answered by the browser."""

    kind = forms.ChoiceField(choices=[("passkey", "Passkey"), ("file", "Key file")])
    name = forms.CharField(
        label="Name",
        max_length=limits.MAX_KEY_NAME_CHARACTERS,
        help_text="For you to tell it from others, for example: Laptop.",
        widget=forms.TextInput(attrs={"class": "input", "autocomplete": "off"}),
    )
    public_key = forms.CharField(
        label="Public key",
        required=False,
        max_length=100,
        help_text="One line that begins with ed25519:, as the command prints it.",
        widget=forms.TextInput(attrs={"class": "input", "autocomplete": "off"}),
    )


@page("keys.enrol")
def keys(request: HttpRequest) -> HttpResponse:
    if is_fragment(request):
        listed = _listed(person_of(request))
        response = render(request, "approvals/_keys.html", listed)
        if not listed["checked"]:
            # The forms below know which keys there are, so all of the page is loaded again.
            response["HX-Refresh"] = "true"
        return response
    return _show(request, KeyForm(auto_id="passkey_%s"), KeyForm(auto_id="file_%s"))


@page("keys.enrol", methods=("POST",), instead="keys")
def enrol(request: HttpRequest) -> HttpResponse:
    """Hands what the browser's authenticator answered, or a public key, to the gatekeeper."""
    person = person_of(request)
    is_file = request.POST.get("kind") == "file"
    form = KeyForm(request.POST, auto_id="file_%s" if is_file else "passkey_%s")
    if not form.is_valid() or not _enrol(request, person, form):
        focus_first(form)
        other = KeyForm(auto_id="passkey_%s" if is_file else "file_%s")
        forms_shown = (other, form) if is_file else (form, other)
        return _show(request, *forms_shown, status=422)
    messages.success(
        request, f"The key {form.cleaned_data['name']} is with the gatekeeper, which verifies it."
    )
    return redirect("keys")


@page("keys.enrol", methods=("POST",), instead="keys")
def revoke(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    key = keyring.access_key_by_id(person, request.POST.get("key", ""))
    if request.POST.get("confirmed") != "yes":
        return render(request, "console/confirm.html", _before_revoking(key, person))
    keyring.revoke_key(person, key.pk, request=request)
    messages.success(request, f"The key {key.name} is revoked: it signs nothing from now on.")
    return redirect("keys")


def _enrol(request: HttpRequest, person: User, form: KeyForm) -> bool:
    """Whether it was handed on; a refusal is said by the form."""
    try:
        enrolment = _enrolment(request, person, form)
        older = signed_of(request.POST, "older_")
        keyring.enrol_key(
            person,
            name=form.cleaned_data["name"],
            enrolment=enrolment,
            introduction=Introduction(key_id=older.key_id, answer=older.answer) if older else None,
            request=request,
        )
    except (KeyRefused, DecisionRefused) as refusal:
        form.add_error(None, str(refusal))
        return False
    return True


def _enrolment(request: HttpRequest, person: User, form: KeyForm) -> Enrolment:
    if form.cleaned_data["kind"] == "file":
        return Enrolment(kind="file", public_key=_public_key(form.cleaned_data["public_key"]))
    if not request.POST.get("attestation"):
        raise KeyRefused(
            "Your browser made no passkey: it needs JavaScript for that. A key file needs none."
        )
    try:
        return Enrolment(
            kind="passkey",
            challenge=checked_challenge(person, request.POST.get("challenge", "")),
            client_data=to_bytes(request.POST.get("client_data", "")),
            attestation=to_bytes(request.POST["attestation"]),
        )
    except ValueError:
        raise KeyRefused("What the browser sent cannot be read; nothing was enrolled.") from None


def _public_key(line: str) -> bytes:
    """The bytes of `ed25519:BASE64`, as the command prints it. Raises `KeyRefused`."""
    kind, _, text = line.strip().partition(":")
    try:
        if kind != "ed25519":
            raise ValueError(line)
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise KeyRefused(
            "A public key is one line that begins with ed25519: as `manage.py key` prints it."
        ) from None


def _show(
    request: HttpRequest, passkey: KeyForm, file: KeyForm, *, status: int = 200
) -> HttpResponse:
    person = person_of(request)
    own = standing_keys_of(person).filter(kind="passkey")
    context = _listed(person) | {
        "passkey_form": passkey,
        "file_form": file,
        "address": named_address(request),
        "challenge": new_challenge(person),
        "known": json.dumps([to_text(bytes(key.credential_id)) for key in own]),
        "older": json.dumps(usable_keys(person, "passkey")),
        "has_older": bool(usable_keys(person, "passkey")),
    }
    return render(request, "approvals/keys.html", context, status=status)


def _listed(person: User) -> dict[str, Any]:
    now = timezone.now()
    asked = list(keyring.requests_of(person)[: limits.MAX_KEYS])
    return {
        "held": keyring.held_by(person, now),
        "checked": [one for one in asked if not one.refused_because],
        "refused": [one for one in asked if one.refused_because],
        "others": keyring.held_by_others(person, now) if may(person, "keys.revoke") else [],
    }


def _before_revoking(key: Any, person: User) -> dict[str, Any]:
    whose = "" if key.person_id == person.pk else f" of {key.person.get_username()}"
    return {
        "title": f"Revoke the key {key.name}{whose}?",
        "text": "It signs nothing from now on, and that cannot be taken back. Approvals that it "
        "signed count no more, unless the payment has been sent. A new key waits a day before it "
        "counts, if no other key signs for it.",
        "hidden": {"key": key.id},
        "action": "Revoke",
        "back": reverse("keys"),
    }
