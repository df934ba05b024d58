"""Several requests of the lowest tier decided at once: selected in the inbox, shown one by one,
confirmed together; and what became of each of them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from approvals import batches, canaries, eligibility
from approvals.envelope import phrase
from approvals.errors import DecisionRefused, TooFast, TooSoon
from approvals.freezes import why_frozen
from approvals.history import history_of
from approvals.limits import MAX_BATCH, MAX_REASON_CHARACTERS
from approvals.models import Batch, Decision, Gate
from console import access, deeds
from console.batching import Item, Row, access_batch, decide_together, find_rows
from console.models import User
from console.pages.endings import payment_state, what_is_asked
from console.pages.facts import facts_of
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from console.pages.history import told_of
from console.pages.requests import next_for
from console.pages.views import View
from console.pages.words import money
from console.roles import may
from runs.models import new_id

SAID = {"approve": "You approved {0}.", "deny": "You denied {0}."}
DID = {"approve": "approved", "deny": "denied", "changes": "asked for changes to"}


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


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What was selected: the requests that can be decided at once, and why others cannot."""

    gates: Sequence[Gate]
    left_out: Sequence[tuple[Gate, str, str]]


def mark_selectable(person: User, view: View, gates: Iterable[Gate]) -> None:
    """Says of each gate of a view whether this person may decide it together with others."""
    found = [gate for gate in gates if gate.tier == Gate.Tier.CONFIRM]
    open_ids = {gate.pk for gate in found if gate.status == Gate.Status.OPEN}
    if not may(person, "gates.decide") or view.name not in ("mine", "expiring"):
        open_ids = set()
    elif view.name == "expiring" and open_ids:
        own = Gate.objects.filter(eligibility.is_asked(person), pk__in=open_ids)
        open_ids = set(own.values_list("pk", flat=True))
    for gate in gates:
        gate.is_selectable = gate.pk in open_ids  # type: ignore[attr-defined]


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
        "rows": [(row.gate, *_standing(row, found)) for row in rows],
        "decided": sum(_is_of(row, found) for row in rows),
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
    count = sum(_is_of(row, batch) for row in rows)
    if count:
        words = "1 request" if count == 1 else f"{count} requests"
        messages.success(request, SAID[batch.verdict].format(words))
    for row in rows:
        if isinstance(row.refusal, TooFast | TooSoon):
            messages.error(request, f"{what_is_asked(row.gate)}: {row.refusal}")
        if (told := canaries.told_to(row.gate, batch.person)) and _is_of(row, batch):
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
    shown = _sorted_out(person, ids)
    if form is not None:
        focus_first(form)
    for gate in shown.gates:
        deeds.look_at_gate(person, gate.pk)
    digest = batches.digest_of(gate.digest for gate in shown.gates)
    context = {
        "rows": [_row(gate, person) for gate in shown.gates],
        "left_out": shown.left_out,
        "sums": _sums(shown.gates),
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


def _sorted_out(person: User, ids: Sequence[uuid.UUID]) -> Shown:
    gates: list[Gate] = []
    left_out: list[tuple[Gate, str, str]] = []
    for id in dict.fromkeys(ids):
        gate = access.access_gate_by_id(person, id, right="gates.decide")
        because = _why_out(gate, person, len(gates))
        if because:
            left_out.append((gate, what_is_asked(gate), because))
        else:
            gates.append(gate)
    return Shown(gates=gates, left_out=left_out)


def _why_out(gate: Gate, person: User, before: int) -> str:
    """Why this request is not decided with the others, in words; empty when it can be."""
    because = eligibility.why_not(gate, person)
    if because:
        return because
    if gate.tier != Gate.Tier.CONFIRM:
        tier = gate.get_tier_display().lower()
        return f"It asks for more than a confirmation ({tier}): open it, and decide it by itself."
    if before >= MAX_BATCH:
        return f"At most {MAX_BATCH} requests are decided at once. It stays in your inbox."
    return ""


def _row(gate: Gate, person: User) -> dict[str, Any]:
    return {
        "gate": gate,
        "facts": facts_of(gate, person),
        "told": told_of(history_of(gate)),
        "why_frozen": why_frozen(gate),
    }


def _sums(gates: Sequence[Gate]) -> list[str]:
    """What the requests come to, by currency."""
    sums: dict[str, int] = defaultdict(int)
    for gate in gates:
        if gate.amount_minor is not None:
            sums[gate.currency] += gate.amount_minor
    return [money(minor, currency) for currency, minor in sorted(sums.items())]


def _is_of(row: Row, batch: Batch) -> bool:
    return row.decision is not None and row.decision.batch_id == batch.pk


def _standing(row: Row, batch: Batch) -> tuple[str, str]:
    """The verdict that the batch recorded here; else why it recorded none."""
    row.gate.payment = payment_state(row.gate)  # type: ignore[attr-defined]
    if row.decision is not None and row.decision.batch_id == batch.pk:
        return row.decision.verdict, ""
    name = batch.person.get_username()
    if row.decision is not None:
        return "", f"{name} {DID[row.decision.verdict]} it by itself."
    return "", _why_not(row.gate, batch)


def _why_not(gate: Gate, batch: Batch) -> str:
    decisions = sorted(gate.decisions.all(), key=lambda d: d.decided_at)
    last = decisions[-1].person.get_username() if decisions else "Somebody"
    closed = {
        Gate.Status.APPROVED: f"{last} approved it first, and that was enough.",
        Gate.Status.DENIED: f"{last} denied it first.",
        Gate.Status.CHANGES_REQUESTED: f"{last} asked for changes first.",
        Gate.Status.EXPIRED: "Its time was over.",
        Gate.Status.WITHDRAWN: "It was withdrawn.",
        Gate.Status.REVOKED: "An approval of it was taken back.",
    }
    if gate.status != Gate.Status.OPEN:
        return f"Not decided here. {closed[Gate.Status(gate.status)]}"
    if any(one.verdict != Decision.Verdict.APPROVE for one in decisions):
        return f"Not decided here. {last} {DID[decisions[-1].verdict]} it first."
    because = eligibility.why_not(gate, batch.person)
    return f"Not decided here. {because or 'It is still open, and can be decided by itself.'}"


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
