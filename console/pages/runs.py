"""Runs: the list, the start form, cancelling."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from console import access, deeds
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from console.pages.paging import first_page, next_page
from console.pages.startform import StartForm, read_input
from console.pages.words import RUN_STATES
from runs import reserved
from runs.errors import InvalidInput, Refused
from runs.models import Run, WorkflowDeclaration
from runs.reserved import BY_PAGE

MAX_QUERY = 150
FILTERS = ("q", "status", "workflow", "since", "parent", "schedule")
SAME_IN_BULK = {"q": "requested_by", "status": "status", "workflow": "workflow"}


def current_workflows() -> QuerySet[WorkflowDeclaration]:
    return (
        WorkflowDeclaration.objects.filter(is_current=True)
        .exclude(name__startswith=reserved.PREFIX)
        .order_by("name")
    )


@page("runs.view")
def runs(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    filters = {name: request.GET.get(name, "").strip()[:MAX_QUERY] for name in FILTERS}
    sought = _sought(filters["q"])
    if sought is not None:
        return redirect("run", id=sought)
    page = access.find_runs(
        person,
        status=filters["status"],
        workflow=filters["workflow"],
        requester=filters["q"],
        parent=_uuid(filters["parent"]),
        schedule=_uuid(filters["schedule"]),
        since=_since(filters["since"]),
        cursor=request.GET.get("cursor", ""),
    )
    context = {
        "page": page,
        "filters": filters,
        "is_filtered": any(filters.values()),
        "states": RUN_STATES.items(),
        "workflows": list(current_workflows().values_list("name", flat=True)),
        "own_workflow": reserved.NOTIFY,
        "bulk_query": _bulk_query(filters),
        "of_run": _uuid(filters["parent"]),
        "of_schedule": _uuid(filters["schedule"]),
        "is_later_page": bool(request.GET.get("cursor")),
        "first_page": first_page(request),
        "next_page": next_page(request, page.next_cursor),
    }
    return render(request, "runs/_list.html" if is_fragment(request) else "runs/list.html", context)


def _bulk_query(filters: dict[str, str]) -> str:
    """The same filter for the page that steers many; those that it does not know are left out."""
    said = {new: filters[name] for name, new in SAME_IN_BULK.items() if filters[name]}
    if filters["status"] in Run.ENDED:
        del said["status"]
    if filters["since"] and _since(filters["since"]):
        said["created_from"] = f"{filters['since'][:10]}T00:00"
    return urlencode(said)


def _uuid(text: str) -> UUID | None:
    """An id out of the address; one that is none finds nothing, and not everything."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return UUID(int=0)


def _since(text: str) -> datetime | None:
    """The beginning of a day, in UTC."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC) if text else None
    except ValueError:
        return None


def _sought(query: str) -> UUID | None:
    """The run that the query names by its identifier, if it does."""
    try:
        return UUID(query) if len(query) >= 32 else None
    except ValueError:
        return None


@page("runs.start", methods=("GET", "POST"))
def start(request: HttpRequest) -> HttpResponse:
    workflows = list(current_workflows())
    chosen = next((w for w in workflows if w.name == request.GET.get("workflow")), None)
    if chosen is None and len(workflows) == 1:
        chosen = workflows[0]
    context: dict[str, Any] = {"workflows": workflows, "chosen": chosen}
    if chosen is None:
        return render(request, "runs/start.html", context)
    form = StartForm(chosen.schema, request.POST or None)
    if request.method == "POST" and form.is_valid():
        started = _start(request, chosen.name, form)
        if started is not None:
            return redirect("run", id=started.id)
    focus_first(form)
    status = 422 if form.errors else 200
    return render(request, "runs/start.html", context | {"form": form}, status=status)


def _start(request: HttpRequest, workflow: str, form: StartForm) -> Run | None:
    """The started run; None when it was refused, which the form then says."""
    try:
        run, was_created = deeds.start(
            person_of(request),
            workflow=workflow,
            input=read_input(form),
            idempotency_key=f"{BY_PAGE}{form.cleaned_data['form_id']}",
            request=request,
        )
    except InvalidInput as refusal:
        form.take_faults(refusal.errors)
        return None
    except Refused as refusal:
        form.add_error(None, refusal.message)
        return None
    if not was_created:
        messages.info(request, "This form was sent before; here is the run that it started.")
    return run
