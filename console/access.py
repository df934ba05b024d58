"""The one door from a person to a row: by right first, then by tenant.

Pages and API both come through here. A row of another tenant answers exactly as a row
that does not exist, so that nobody learns by asking what others have.
Lists are read by keyset and an opaque cursor: an offset would skip or repeat rows while
new ones arrive, and costs more the further one reads.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import (
    CharField,
    Exists,
    Model,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Cast, Concat
from django.utils.dateparse import parse_datetime

from approvals.canaries import was_canary
from approvals.eligibility import is_asked, is_live
from approvals.models import Decision, Gate, Policy
from console.models import AuditEntry, User
from console.roles import may
from credentials.models import Secret
from runs import reserved, schedules
from runs.errors import UnknownSchedule
from runs.models import Event, Run, Schedule, Settlement, Signal, Step
from runs.signals import RESERVED

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
MAX_CURSOR_LENGTH = 200
WIDE = ("input", "result")
"""Columns of a run that lists do without."""
NUMBERS = ("amount_minor",)
"""What a list may be ordered by beside moments."""

Row = TypeVar("Row", bound=Model)


class Refused(Exception):
    """The door stays shut; the message is the sentence that a person reads."""


class NotFound(Refused):
    """No such row for this person."""


class Forbidden(Refused):
    """None of the person's roles gives the right."""


class BadCursor(Refused):
    """The cursor is not one that a list has given."""


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Row]):
    """One page of a list; `next_cursor` is empty on the last."""

    items: Sequence[Row]
    next_cursor: str


def require(person: User, right: str) -> None:
    if not may(person, right):
        raise Forbidden(f"Your roles do not give the right {right!r}.")


def get_row(rows: QuerySet[Row], person: User, noun: str, id: uuid.UUID | str) -> Row:
    """The one of these rows with this id, in the person's tenant; the caller has asked for the
    right. Raises `NotFound`."""
    try:
        wanted = id if isinstance(id, uuid.UUID) else uuid.UUID(id)
    except ValueError:
        raise NotFound(f"There is no such {noun}.") from None
    row = rows.filter(tenant=person.tenant, id=wanted).first()
    if row is None:
        raise NotFound(f"There is no such {noun}.")
    return row


def access_run_by_id(person: User, id: uuid.UUID | str, *, right: str = "runs.view") -> Run:
    require(person, right)
    runs = Run.objects.select_related("requested_by", "parent", "forked_from", "schedule")
    wide = [f"{one}__{column}" for one in ("parent", "forked_from") for column in WIDE]
    return get_row(runs.defer(*wide), person, "run", id)


def access_step(
    person: User, run_id: uuid.UUID | str, position: int, *, right: str = "runs.view"
) -> Step:
    """The step at this position of the run, with what `find_steps` gives and its run."""
    run = access_run_by_id(person, run_id, right=right)
    step = find_steps(run).filter(position=position).first()
    if step is None:
        raise NotFound("There is no such step.")
    step.run = run
    return step


def access_gate_by_id(person: User, id: uuid.UUID | str, *, right: str = "gates.view") -> Gate:
    """The gate with its step, run, requester and policy, its decisions with their people, and
    whether it was a canary, once it is closed."""
    require(person, right)
    gates = Gate.objects.select_related("step", "run", "requester", "policy")
    gates = gates.annotate(was_canary=was_canary())
    return get_row(
        gates.prefetch_related(
            "decisions__person",
            "decisions__on_behalf_of",
            "decisions__revocation",
            "decisions__batch",
            "comments__person",
        ),
        person,
        "gate",
        id,
    )


def access_secret_by_path(person: User, path: str, *, right: str = "secrets.view") -> Secret:
    require(person, right)
    secrets = Secret.objects.select_related("written_by").prefetch_related("scopes__granted_by")
    try:
        return secrets.get(tenant=person.tenant, path=path)
    except (Secret.DoesNotExist, ValueError):
        raise NotFound("There is no such secret.") from None


def access_schedule_by_id(
    person: User, id: uuid.UUID | str, *, right: str = "runs.view"
) -> Schedule:
    """The schedule, also one that was deleted: its runs still name it."""
    require(person, right)
    try:
        wanted = id if isinstance(id, uuid.UUID) else uuid.UUID(id)
        return schedules.get_schedule(tenant=person.tenant, id=wanted)
    except (UnknownSchedule, ValueError):
        raise NotFound("There is no such schedule.") from None


def find_schedules(person: User) -> QuerySet[Schedule]:
    """The schedules of the tenant by name, without their inputs and those that were deleted."""
    require(person, "runs.view")
    found = schedules.list_schedules(person.tenant)
    return found.select_related("owner").defer("input")


def find_runs(
    person: User,
    *,
    status: str = "",
    workflow: str = "",
    requester: str = "",
    parent: uuid.UUID | None = None,
    schedule: uuid.UUID | None = None,
    since: datetime | None = None,
    cursor: str = "",
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[Run]:
    """Runs of the person's tenant, newest first, without what is large in them.

    Those of Placet's own workflows only where that workflow is asked for.
    """
    require(person, "runs.view")
    runs = Run.objects.filter(tenant=person.tenant).select_related("requested_by")
    runs = runs.defer(*WIDE)
    asked = {
        "status": status or None,
        "workflow": workflow or None,
        "requested_by__username": requester or None,
        "parent": parent,
        "schedule": schedule,
        "created_at__gte": since,
    }
    runs = runs.filter(**{field: value for field, value in asked.items() if value is not None})
    if not workflow:
        runs = runs.exclude(workflow__startswith=reserved.PREFIX)
    return _page(runs, "created_at", cursor=cursor, limit=limit, newest_first=True)


def find_questions(person: User) -> QuerySet[Step]:
    """Steps that wait for an answer nobody has given yet, the oldest first."""
    require(person, "runs.view")
    waiting = Step.objects.filter(
        tenant=person.tenant,
        kind=Step.Kind.ASK,
        status=Step.Status.WAITING,
        run__finished_at__isnull=True,
    )
    answered = Signal.objects.filter(
        run=OuterRef("run"),
        name=Concat(Value(RESERVED), Cast(OuterRef("position"), CharField())),
    )
    unanswered = waiting.filter(~Exists(answered)).select_related("run__requested_by")
    return unanswered.defer("result", "run__input", "run__result").order_by("id")


def find_signals(run: Run) -> QuerySet[Signal]:
    """The mailbox of a run that `access_run_by_id` gave, newest first, without answers."""
    mail = Signal.objects.filter(tenant=run.tenant, run=run)
    return mail.exclude(name__startswith=RESERVED).order_by("-sent_at", "-id")


def find_gates(
    person: User,
    *,
    state: str = "",
    is_mine: bool = False,
    cursor: str = "",
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[Gate]:
    """Gates of the tenant: the open ones by what expires first, all others newest first.

    With `is_mine` only those open ones that this person may decide now. All of them without
    their envelopes: a list says what is paid, and a gate's own page all the rest.
    """
    require(person, "gates.view")
    gates = (
        Gate.objects.filter(tenant=person.tenant)
        .select_related("requester", "policy")
        .prefetch_related("decisions__person", "decisions__revocation")
        .annotate(was_canary=was_canary())
        .defer("envelope")
    )
    if state:
        gates = gates.filter(status=state)
    if is_mine:
        mine = is_live() & is_asked(person)
        gates = gates.filter(mine) if may(person, "gates.decide") else gates.none()
    if is_mine or state == Gate.Status.OPEN:
        return _page(gates, "expires_at", cursor=cursor, limit=limit, newest_first=False)
    return _page(gates, "opened_at", cursor=cursor, limit=limit, newest_first=True)


def gates_of(person: User) -> QuerySet[Gate]:
    """The gates of the tenant without their envelopes, for `page_of`."""
    require(person, "gates.view")
    return Gate.objects.filter(tenant=person.tenant).defer("envelope")


def decisions_of(person: User) -> QuerySet[Decision]:
    """What this person has decided, for `page_of`."""
    require(person, "gates.view")
    mine = Decision.objects.filter(tenant=person.tenant, person=person)
    return mine.select_related("revocation")


def tools_of(person: User) -> list[str]:
    """The tools that the policy in force names: what else there are gates for is rare."""
    require(person, "gates.view")
    named = Policy.objects.filter(tenant=person.tenant, retired_at=None)
    return sorted({tool for tools in named.values_list("tools", flat=True) for tool in tools})


def page_of(
    rows: QuerySet[Row], order: str, *, cursor: str = "", limit: int = DEFAULT_PAGE_SIZE
) -> Page[Row]:
    """One page of rows that this door gave, by a moment or an amount; `-` turns the order."""
    field, is_turned = order.lstrip("-"), order.startswith("-")
    return _page(rows, field, cursor=cursor, limit=limit, newest_first=is_turned)


def rows_after(rows: QuerySet[Row], order: str, cursor: str) -> QuerySet[Row]:
    """Those of the rows that come after the cursor, in that order."""
    field, is_turned = order.lstrip("-"), order.startswith("-")
    sign = "-" if is_turned else ""
    if cursor:
        rows = rows.filter(_beyond(field, *_read_cursor(field, cursor), newest_first=is_turned))
    return rows.order_by(f"{sign}{field}", f"{sign}id")


def find_steps(run: Run) -> QuerySet[Step]:
    """The steps of a run that `access_run_by_id` gave, in their order, with their settlements."""
    steps = Step.objects.filter(tenant=run.tenant, run=run).select_related(
        "gate", "declaration", "stepclaim"
    )
    return steps.prefetch_related(settlements_of_steps()).order_by("position")


def settlements_of_steps() -> Prefetch[Any]:
    """What people have said about steps, oldest first, with their names."""
    said = Settlement.objects.select_related("person").order_by("at", "id")
    return Prefetch("settlements", said)


def find_events(run: Run, *, after: int = 0, limit: int = DEFAULT_PAGE_SIZE) -> list[Event]:
    """The journal of a run that `access_run_by_id` gave, after a sequence number."""
    events = Event.objects.filter(tenant=run.tenant, run=run, seq__gt=after)
    return list(events.order_by("seq")[: _bounded(limit)])


def find_secrets(person: User) -> QuerySet[Secret]:
    require(person, "secrets.view")
    secrets = Secret.objects.filter(tenant=person.tenant).select_related("written_by")
    return secrets.prefetch_related("scopes__granted_by").order_by("path")


def find_audit(
    person: User,
    *,
    action: str = "",
    verdict: str = "",
    actor: str = "",
    cursor: str = "",
    limit: int = DEFAULT_PAGE_SIZE,
) -> Page[AuditEntry]:
    """The audit of the tenant, newest first, over the auditor's own read-only connection."""
    require(person, "audit.view")
    entries = AuditEntry.objects.using("auditor").filter(tenant=person.tenant)
    if action:
        entries = entries.filter(action=action)
    if verdict:
        entries = entries.filter(detail__verdict=verdict)
    if actor:
        entries = entries.filter(actor=actor)
    return _page(entries, "at", cursor=cursor, limit=limit, newest_first=True)


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_PAGE_SIZE))


def _page(
    rows: QuerySet[Row], field: str, *, cursor: str, limit: int, newest_first: bool
) -> Page[Row]:
    size = _bounded(limit)
    # One row more than the page tells whether there is a next one.
    found = list(rows_after(rows, f"-{field}" if newest_first else field, cursor)[: size + 1])
    items = found[:size]
    more = len(found) > size
    return Page(items=items, next_cursor=_write_cursor(field, items[-1]) if more else "")


def _beyond(field: str, at: datetime | int, id: uuid.UUID, *, newest_first: bool) -> Q:
    """Rows after (at, id) in the order of the list.

    The first condition follows from the second; it is there because PostgreSQL can only
    use it, and not the disjunction, to start in the middle of the index.
    """
    way = "lt" if newest_first else "gt"
    same = Q(**{field: at, f"id__{way}": id})
    return Q(**{f"{field}__{way}e": at}) & (Q(**{f"{field}__{way}": at}) | same)


def _write_cursor(field: str, row: Any) -> str:
    at = getattr(row, field)
    text = f"{field}|{at if field in NUMBERS else at.isoformat()}|{row.pk}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(field: str, cursor: str) -> tuple[datetime | int, uuid.UUID]:
    """A cursor is no secret and opens nothing, so it is checked for form and not signed."""
    try:
        if len(cursor) > MAX_CURSOR_LENGTH:
            raise ValueError(cursor)
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode()
        of_field, at, id = text.split("|")
        if of_field != field:
            raise ValueError(cursor)
        return _read_number(at) if field in NUMBERS else _read_moment(at), uuid.UUID(id)
    except (ValueError, binascii.Error, UnicodeError):
        raise BadCursor("The cursor is not one that this list has given.") from None


def _read_moment(text: str) -> datetime:
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise ValueError(text)
    return moment


def _read_number(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)
