"""A person's own notices: what concerns them, and which kinds they do not want to see."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from approvals.models import Gate, Mute, Notice
from approvals.notices import concerning
from approvals.telling import ASKING
from console.models import User
from console.notices import payloads
from console.pages.guard import is_fragment, page, person_of

SHOWN = 50
MUTABLE = [kind for kind in Notice.Kind if kind not in ASKING and kind != Notice.Kind.TEST]
"""Whoever is asked to decide cannot choose not to hear of it."""
REACHES = {
    "opened": "A request that you may decide has been opened.",
    "reminder": "A request that you may decide is still open.",
    "escalated": "A request has come to you because others did not decide in time.",
    "decided": "A request of yours, or one that you decided, was decided.",
    "expired": "A request of yours expired.",
    "executed": "What you asked for or consented to was done.",
    "failed": "What you asked for or consented to failed.",
    "in_doubt": "Nobody knows whether what you asked for or consented to happened.",
    "commented": "Somebody spoke at a gate that concerns you.",
}


@page("gates.view")
def notices(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    muted = _muted(person)
    found = Notice.objects.filter(concerning(person)).exclude(kind__in=muted)
    newest = found.select_related("gate").defer("gate__envelope").order_by("-written_at")[:SHOWN]
    context: dict[str, Any] = {
        "notices": [(_with_standing(one), payloads.what(one.facts)) for one in newest],
        "most": SHOWN,
        "reaches": [(k, Notice.Kind(k).label, words) for k, words in REACHES.items()],
        "mutable": [str(kind) for kind in MUTABLE],
        "muted": muted,
    }
    template = "notices/_mine.html" if is_fragment(request) else "notices/mine.html"
    return render(request, template, context)


@page("gates.view", methods=("POST",), instead="notices")
def mute(request: HttpRequest) -> HttpResponse:
    """What is not ticked is muted; what asks the person to decide cannot be."""
    person = person_of(request)
    wanted = set(request.POST.getlist("kinds"))
    unwanted = [kind for kind in MUTABLE if kind not in wanted]
    with transaction.atomic():
        Mute.objects.filter(tenant=person.tenant, person=person).delete()
        Mute.objects.bulk_create(
            Mute(tenant=person.tenant, person=person, kind=kind) for kind in unwanted
        )
    messages.success(request, "What reaches you was changed.")
    return redirect("notices")


def _with_standing(notice: Notice) -> Notice:
    """A request that somebody was asked about is one no longer once its gate is closed."""
    gate = notice.gate
    is_over = notice.kind in ASKING and gate is not None and gate.status != Gate.Status.OPEN
    notice.is_over = is_over  # type: ignore[attr-defined]
    return notice


def _muted(person: User) -> list[str]:
    mine = Mute.objects.filter(tenant=person.tenant, person=person)
    return list(mine.values_list("kind", flat=True))
