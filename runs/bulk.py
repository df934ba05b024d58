"""Bulk: one action on all the runs that a filter finds, after they were counted.

What was counted is what is acted on: when the filter finds other runs by then, nothing is done
and the new count is said. Each run is steered by itself, with an event of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from runs import limits, reserved, steering
from runs.errors import BulkRefused, Refused
from runs.models import Run

Verb = Literal["cancel", "pause", "resume", "terminate"]
VERBS: tuple[Verb, ...] = ("cancel", "pause", "resume", "terminate")
Progress = Callable[[int, int], None]
"""Told how many of how many runs are done with, after each."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which runs: all that it says must be so. Text of a wait is found anywhere in it."""

    workflow: str = ""
    status: str = ""
    requested_by: str = ""
    created_from: datetime | None = None
    created_before: datetime | None = None
    waiting_for: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a filter found: how many runs, and a name for exactly these."""

    ids: tuple[UUID, ...]

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """The same for the same runs only; to be given back to `apply`."""
        return hashlib.sha256(b"".join(sorted(id.bytes for id in self.ids))).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What became of each run: done, as it was asked before, or refused with a sentence."""

    done: tuple[UUID, ...]
    unchanged: tuple[UUID, ...]
    refused: tuple[tuple[UUID, str], ...]


def find(*, tenant: str, filter: Filter) -> Found:
    """The runs of a tenant that the filter finds and that have not ended, oldest first.

    Raises `BulkRefused` beyond `limits.MAX_BULK` of them, and for a filter that says nothing.
    """
    if filter == Filter():
        raise BulkRefused("Say which runs: a filter that says nothing would find all of them.")
    ids = tuple(_matching(tenant, filter).values_list("pk", flat=True)[: limits.MAX_BULK + 1])
    if len(ids) > limits.MAX_BULK:
        raise BulkRefused(
            f"The filter finds {_matching(tenant, filter).count()} runs; at most"
            f" {limits.MAX_BULK} are acted on at once. Narrow it."
        )
    return Found(ids=ids)


def apply(
    *,
    tenant: str,
    filter: Filter,
    fingerprint: str,
    verb: Verb,
    actor: str,
    reason: str = "",
    progress: Progress | None = None,
) -> Applied:
    """Steers exactly the runs that were counted; one transaction and one event for each.

    `fingerprint` is that of what `find` said. A run that refuses does not stop the others.
    Raises `BulkRefused` when the filter finds other runs by now, or there is no such verb, and
    `SteeringRefused` for the reason; then nothing was done. Not to be called in a transaction,
    which would hold the locks of many runs at once.
    """
    if connection.in_atomic_block:
        raise RuntimeError("A bulk action has a transaction for each run, and is not part of one.")
    if verb not in VERBS:
        raise BulkRefused(f"An action is one of {', '.join(VERBS)}.")
    steering.check_reason(reason, is_needed=verb in ("pause", "terminate"))
    found = find(tenant=tenant, filter=filter)
    if found.fingerprint != fingerprint:
        raise BulkRefused(
            f"The filter finds other runs than those that were counted: {found.count} by now."
            " Look again."
        )
    done: list[UUID] = []
    unchanged: list[UUID] = []
    refused: list[tuple[UUID, str]] = []
    for number, run in enumerate(_each(tenant, found), start=1):
        try:
            (done if _steer(run, verb, actor, reason) else unchanged).append(run.pk)
        except Refused as no:
            refused.append((run.pk, no.message))
        if progress is not None:
            progress(number, found.count)
    return Applied(done=tuple(done), unchanged=tuple(unchanged), refused=tuple(refused))


def _each(tenant: str, found: Found) -> QuerySet[Run]:
    return Run.objects.filter(tenant=tenant, pk__in=found.ids).only("pk").order_by("pk")


def _steer(run: Run, verb: Verb, actor: str, reason: str) -> bool:
    if verb == "cancel":
        return steering.request_cancel(run=run, actor=actor, reason=reason)
    if verb == "pause":
        return steering.pause(run=run, actor=actor, reason=reason)
    if verb == "resume":
        return steering.resume(run=run, actor=actor, reason=reason)
    return steering.terminate(run=run, actor=actor, reason=reason)


def _matching(tenant: str, filter: Filter) -> QuerySet[Run]:
    asked = {
        "workflow": filter.workflow or None,
        "status": filter.status or None,
        "requested_by__username": filter.requested_by or None,
        "created_at__gte": filter.created_from,
        "created_at__lt": filter.created_before,
        "waiting_for__icontains": filter.waiting_for or None,
    }
    wanted = Q(**{field: value for field, value in asked.items() if value is not None})
    found = Run.objects.filter(wanted, tenant=tenant, finished_at__isnull=True).order_by("pk")
    # As on the list of runs: Placet's own are steered where their workflow is named.
    return found if filter.workflow else found.exclude(workflow__startswith=reserved.PREFIX)
