"""Channels: where notices go outside. Addresses go in and are never shown again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from approvals.models import Channel
from approvals.notices import ABOUT_GATES
from console import access
from console.notices.channels import (
    ChannelRefused,
    access_channel,
    add_channel,
    choose_kinds,
    find_channels,
    turn,
)
from console.notices.deliveries import last_deliveries
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from credentials.errors import CredentialsError

KINDS = [(str(kind), kind.label) for kind in ABOUT_GATES]
SHOWN = 5
SECRET = {"class": "input", "autocomplete": "new-password"}
SAID = {
    "pause": "{} is paused: nothing goes there until it is resumed.",
    "resume": "{} gets notices again, of what happens from now on.",
    "remove": "{} was removed.",
    "test": "A test notice is on its way to {}. What became of it shows here.",
}


class ChannelForm(forms.Form):
    """A new channel. What is typed as address and key is never rendered again."""

    name = forms.CharField(
        label="Name",
        max_length=63,
        widget=forms.TextInput(attrs={"class": "input", "autocomplete": "off"}),
        help_text="As people know it, for example Finance on Slack.",
    )
    way = forms.ChoiceField(
        label="Way",
        choices=Channel.Way.choices,
        widget=forms.Select(attrs={"class": "input"}),
        help_text="A signed webhook as standardwebhooks.com describes it, or a service for "
        "messages by its apprise address.",
    )
    url = forms.CharField(
        label="Address",
        max_length=2_000,
        widget=forms.PasswordInput(render_value=False, attrs=SECRET),
        help_text="https://… for a webhook; mailtos://… or slack://… for messages. It may hold "
        "passwords, so it goes to the vault and is not shown again.",
    )
    key = forms.CharField(
        label="Signing key",
        required=False,
        max_length=200,
        widget=forms.PasswordInput(render_value=False, attrs=SECRET),
        help_text="For a webhook: whsec_ and base64, as its receiver has it.",
    )
    kinds = forms.MultipleChoiceField(
        label="What goes there",
        choices=KINDS,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one kind of notice."},
    )


@page("channels.view")
def channels(request: HttpRequest) -> HttpResponse:
    if is_fragment(request):
        return _deliveries(request)
    form = ChannelForm(initial={"kinds": [kind for kind, _ in KINDS]})
    return _shown(request, form, 200)


def _deliveries(request: HttpRequest) -> HttpResponse:
    """What became of the notices to one channel: alone live, so that no form is taken away."""
    channel = access_channel(person_of(request), request.GET.get("of", ""))
    context = {"channel": channel, "deliveries": last_deliveries(channel, SHOWN)}
    return render(request, "notices/_deliveries.html", context)


def _shown(request: HttpRequest, form: ChannelForm, status: int) -> HttpResponse:
    found = list(find_channels(person_of(request)))
    rows = [(channel, last_deliveries(channel, SHOWN)) for channel in found]
    context = {"rows": rows, "form": form, "kinds": KINDS}
    return render(request, "notices/channels.html", context, status=status)


@sensitive_post_parameters()
@page("channels.write", methods=("POST",), instead="channels")
def add(request: HttpRequest) -> HttpResponse:
    form = ChannelForm(request.POST)
    if form.is_valid() and _add(request, form):
        name = form.cleaned_data["name"]
        messages.success(request, f"{name} was added. Send it a test notice to see that it works.")
        return redirect("channels")
    focus_first(form)
    return _shown(request, form, 422)


@sensitive_variables()
def _add(request: HttpRequest, form: ChannelForm) -> bool:
    """Whether it was added; a refusal is said by the form."""
    try:
        add_channel(person_of(request), request=request, **form.cleaned_data)
    except (ChannelRefused, CredentialsError) as refusal:
        form.add_error(None, str(refusal))
        return False
    return True


@page("channels.write", methods=("GET", "POST"))
def kinds(request: HttpRequest, id: UUID) -> HttpResponse:
    if request.method != "POST":
        return redirect("channels")
    try:
        channel = choose_kinds(
            person_of(request), id, request.POST.getlist("kinds"), request=request
        )
        messages.success(request, f"What goes to {channel.name} was changed.")
    except ChannelRefused as refusal:
        messages.error(request, f"{refusal} Nothing was changed.")
    return redirect("channels")


@page("channels.write", methods=("GET", "POST"))
def turned(request: HttpRequest, id: UUID, verb: str) -> HttpResponse:
    if request.method != "POST":
        return redirect("channels")
    if verb not in SAID:
        raise access.NotFound("There is no such thing to do with a channel.")
    channel = access_channel(person_of(request), id)
    if verb == "remove" and request.POST.get("confirmed") != "yes":
        return render(request, "console/confirm.html", _before_removing(channel))
    turn(person_of(request), id, verb, request=request)
    messages.success(request, SAID[verb].format(channel.name))
    return redirect("channels")


def _before_removing(channel: Channel) -> dict[str, Any]:
    return {
        "title": f"Remove the channel {channel.name}?",
        "text": "Nothing goes there any more, and notices on their way are refused. Its address "
        "stays in the vault, where no step may use it. Its name is free again.",
        "hidden": {},
        "action": "Remove",
        "back": reverse("channels"),
    }
