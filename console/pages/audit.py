"""The audit: who did what, read with an account that cannot write."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from approvals import canaries
from console import access
from console.models import AuditEntry
from console.pages.guard import page, person_of
from console.pages.paging import first_page, next_page
from console.pages.words import ACTIONS, VERDICTS, money

ABOUT = {
    "run_started": "run",
    "cancel_requested": "run",
    "terminate_requested": "run",
    "run_paused": "run",
    "run_resumed": "run",
    "run_forked": "run",
    "signal_sent": "run",
    "decided": "gate",
    "second_look_taken": "gate",
    "batch_confirmed": "batch",
    "schedule_created": "schedule",
    "schedule_changed": "schedule",
    "schedule_paused": "schedule",
    "schedule_resumed": "schedule",
    "schedule_deleted": "schedule",
    "schedule_triggered": "schedule",
    "schedule_backfilled": "schedule",
    "change_proposed": "change",
    "change_decided": "change",
}
MAX_FILTER = 150
DECIDED = {f"decided:{verdict}": state.word for verdict, state in VERDICTS.items()}
"""The filter tells approvals from denials, which are one action with two verdicts."""


@page("audit.view")
def audit(request: HttpRequest) -> HttpResponse:
    filters = {name: request.GET.get(name, "").strip()[:MAX_FILTER] for name in ("actor", "action")}
    cursor = request.GET.get("cursor", "")
    action, _, verdict = filters["action"].partition(":")
    page = access.find_audit(
        person_of(request), actor=filters["actor"], action=action, verdict=verdict, cursor=cursor
    )
    tests = canaries.closed_among(
        [entry.subject_id for entry in page.items if entry.action == "decided" and entry.subject_id]
    )
    for entry in page.items:
        entry.is_canary = entry.subject_id in tests  # type: ignore[attr-defined]
        entry.decided = _decided(entry)  # type: ignore[attr-defined]
        entry.address_of_subject = _address(entry)  # type: ignore[attr-defined]
    context = {
        "page": page,
        "filters": filters,
        "is_filtered": any(filters.values()),
        "actions": (ACTIONS | DECIDED).items(),
        "is_later_page": bool(cursor),
        "first_page": first_page(request),
        "next_page": next_page(request, page.next_cursor),
    }
    return render(request, "console/audit.html", context)


def _decided(entry: AuditEntry) -> str:
    """What was decided: the verdict; of a payment, the amount and the payee as well."""
    detail = entry.detail
    if entry.action != "decided" or "amount_minor" not in detail:
        return ""
    told = VERDICTS[detail["verdict"]].word
    if detail["amount_minor"] is not None:
        paid = money(detail["amount_minor"], detail["currency"])
        told = f"{told} {paid} to {detail['payee_name'] or detail['payee']}"
    return f"{told}, in a batch of {detail['of']}" if "batch" in detail else told


def _address(entry: AuditEntry) -> str:
    """The page of what the entry is about, where there is one."""
    if entry.action == "doubt_settled":
        return reverse("step-settle", args=[entry.detail["run"], entry.detail["position"]])
    if entry.action == "question_answered":
        return reverse("question", args=[entry.detail["run"], entry.detail["position"]])
    name = ABOUT.get(entry.action)
    return reverse(name, args=[entry.subject_id]) if name and entry.subject_id else ""
