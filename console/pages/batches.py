"""Several requests of the lowest tier decided at once: selected in the inbox, shown one by one,
confirmed together; and what became of each of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from approvals import batches, canaries
from approvals.envelope import phrase
from approvals.errors import DecisionRefused, TooFast, TooSoon
from approvals.limits import MAX_BATCH, MAX_REASON_CHARACTERS
from approvals.models import Batch
from console import deeds
from console.batching import Item, Row, access_batch, decide_together, find_rows
from console.pages.batchrows import is_of, row_of, sorted_out, standing_of, sums_of
from console.pages.endings import what_is_asked
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from console.pages.requests import next_for
from runs.models import new_id

SAID = {"approve": "You approved {0}.", "deny": "You denied {0}."}


class BatchForm(forms.Form):
    """One verdict with its reason over the requests that the page showed."""

    batch = forms.UUIDField(widget=forms.HiddenInput)
    verdict = forms.ChoiceField(choices=Batch.Verdict.choices)
    reason = forms.CharField(
        label="Reason for all of them",
        required=False,
        max_length=MAX_REASON_CHARACTERS,
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("verdict") == "deny" and not cleaned.get("reason"):
            self.add_error("reason", "Say why you deny them: each requester reads this.")
        return cleaned


@page("gates.decide", methods=("POST",), instead="inbox")
def decide(request: HttpRequest) -> HttpResponse:
    """Shows what was selected; decides about it when that page has been confirmed."""
    if request.POST.get("step") == "confirmed":
        return _confirmed(request)
    ids = [id for text in request.POST.getlist("gate") if (id := _id_of(text))]
    if not ids:
        messages.error(request, "Select requests first: tick them, or press x on their rows.")
        return redirect("inbox")
    return _review(request, ids)


@page("gates.view")
def batch(request: HttpRequest, id: uuid.UUID) -> HttpResponse:
    """What one person decided at once, and what became of each request."""
    person = person_of(request)
    found = access_batch(person, id)
    rows = find_rows(person, found)
    context = {
        "batch": found,
        "rows": [(row.gate, *standing_of(row, found, person)) for row in rows],
        "decided": sum(is_of(row, found) for row in rows),
        "who": "You" if found.person == person else found.person.get_username(),
        "phrase": phrase(bytes(found.digest)),
        "next_gate": next_for(person),
    }
    template = "approvals/_batch_rows.html" if is_fragment(request) else "approvals/batch.html"
    return render(request, template, context)


def _confirmed(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    items = [item for text in request.POST.getlist("item") if (item := _item_of(text))]
    form = BatchForm(request.POST)
    if not items or "batch" in form.errors or "verdict" in form.errors:
        messages.error(request, "That page did not say what it showed. Nothing was recorded.")
        return redirect("inbox")
    ids = [item.gate_id for item in items]
    if not form.is_valid():
        return _review(request, ids, form, 422)
    try:
        said = decide_together(
            person,
            id=form.cleaned_data["batch"],
            items=items,
            verdict=cast(deeds.Verdict, form.cleaned_data["verdict"]),
            reason=form.cleaned_data["reason"].replace("\r\n", "\n"),
            request=request,
        )
    except DecisionRefused as refusal:
        form.add_error(None, str(refusal))
        return _review(request, ids, form, 409, is_too_fast=isinstance(refusal, TooFast))
    _tell(request, said.rows, said.batch)
    return redirect("batch", id=said.batch.pk)


def _tell(request: HttpRequest, rows: Sequence[Row], batch: Batch) -> None:
    """How many were decided; and what a later look at the rows would not show."""
    count = sum(is_of(row, batch) for row in rows)
    if count:
        words = "1 request" if count == 1 else f"{count} requests"
        messages.success(request, SAID[batch.verdict].format(words))
    for row in rows:
        if isinstance(row.refusal, TooFast | TooSoon):
            messages.error(request, f"{what_is_asked(row.gate)}: {row.refusal}")
        if (told := canaries.told_to(row.gate, batch.person)) and is_of(row, batch):
            say = messages.success if told.is_caught else messages.error
            say(request, f"{what_is_asked(row.gate)}: {told.text}")


def _review(
    request: HttpRequest,
    ids: Sequence[uuid.UUID],
    form: BatchForm | None = None,
    status: int = 200,
    *,
    is_too_fast: bool = False,
) -> HttpResponse:
    """Every request with its facts, from its envelope; what cannot be decided here is named."""
    person = person_of(request)
    shown = sorted_out(person, ids)
    if form is not None:
        focus_first(form)
    for gate in shown.gates:
        deeds.look_at_gate(person, gate.pk)
    rows = [row_of(gate, person) for gate in shown.gates]
    digest = batches.digest_of(gate.digest for gate in shown.gates)
    context = {
        "rows": rows,
        "left_out": shown.left_out,
        "sums": sums_of(rows),
        "digest": digest.hex(),
        "phrase": phrase(digest),
        "form": form or BatchForm(),
        # Another one each time that the page is shown: what it confirms is what it shows.
        "batch_id": new_id(),
        "is_too_fast": is_too_fast,
        "most": MAX_BATCH,
    }
    is_empty = not shown.gates and status == 200
    return render(
        request, "approvals/batch_review.html", context, status=409 if is_empty else status
    )


def _id_of(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _item_of(text: str) -> Item | None:
    """A request as the page named it: its id, a colon and the digest that was shown."""
    id, _, digest = text.partition(":")
    found = _id_of(id)
    return Item(gate_id=found, digest=digest) if found else None
