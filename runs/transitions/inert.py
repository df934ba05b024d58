"""Inert runs: there to be looked at, and never run.

The engine knows that nothing of such a run is ever started, not who wants it. The database keeps
it: a check of the table leaves it no status in which a worker could take it, and a trigger
refuses that its held step is cleared or started (`runs.guards.INERT`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from runs import canonical, journal, limits, prepared
from runs.clock import database_now
from runs.models import Claim, Event, Run, Step, new_id
from runs.reserved import BY_PAGE
from runs.telemetry import current_trace_id, trace_id
from runs.transitions import rows

COPIED = (Step.Kind.TOOL, Step.Kind.NOW, Step.Kind.CHOICE, Step.Kind.PATCH)
COPY = """
    INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money, is_remote,
        status, arguments, digest, key, attempt, failures, result, held_because, created_at,
        started_at, finished_at)
    SELECT %(id)s, tenant, %(run)s, %(position)s, kind, name, effect, is_money, is_remote, status,
        arguments, digest, %(key)s, attempt, failures, result, '', created_at + %(later)s,
        started_at + %(later)s, finished_at + %(later)s
    FROM runs_step WHERE id = %(model)s
"""
HOLD = """
    INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money, is_remote,
        declaration_id, status, arguments, digest, key, attempt, failures, held_because)
    SELECT %(id)s, tenant, %(run)s, %(position)s, kind, name, effect, is_money, is_remote,
        declaration_id, 'held', %(arguments)s, %(digest)s, %(key)s, 0, 0, ''
    FROM runs_step WHERE id = %(model)s
"""


def insert_like(model: Step, arguments: dict[str, Any]) -> UUID:
    """Inserts an inert run that looks as the model's did when it came to this step, and holds a
    step like the model with other arguments; returns the id of that step.

    For the gatekeeper, inside the caller's transaction. The model is a step of the executor
    that waits for people. What its run had read before is copied, so that people find where
    the request came from.
    """
    former = model.run
    before = Step.objects.filter(
        run=former,
        position__lt=model.position,
        is_remote=False,
        kind__in=COPIED,
        status=Step.Status.SUCCEEDED,
    ).order_by("position")
    copied = list(before[: limits.MAX_IMITATED_STEPS])
    run = _run_like(model, awaited=len(copied))
    _tell_again(run, list(Event.objects.filter(run=former, seq=1)), None)
    later = database_now() - model.created_at
    for position, step in enumerate(copied):
        _copy(run, step, position, later)
    return _hold(run, model, len(copied), canonical.encode(arguments))


def end_inert(step: Step, error: dict[str, str]) -> None:
    """Ends an inert run and what is held of it; nothing of it has happened. The caller holds the
    lock of the run. Raises `ClaimMissed` when it has ended."""
    with prepared.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_step SET status = 'cancelled', error = %s, held_because = '',"
            " finished_at = clock_timestamp() WHERE run_id = %s AND status = 'held'",
            [rows.as_json(error), step.run_id],
        )
        cursor.execute(
            "UPDATE runs_run SET status = 'cancelled', error = %s, waiting_for = '',"
            " waiting_since = NULL, wake_at = NULL, finished_at = clock_timestamp()"
            " WHERE id = %s AND is_inert AND finished_at IS NULL RETURNING tenant",
            [rows.as_json(error), step.run_id],
        )
        rows.one(cursor, "run", step.run_id)
    journal.append(step.run_id, "run.cancelled", error, actor="gatekeeper")


def _run_like(model: Step, *, awaited: int) -> Run:
    former, now = model.run, database_now()
    begun_at = now - (model.created_at - former.created_at)
    is_of_page = (former.idempotency_key or "").startswith(BY_PAGE)
    run = Run.objects.create(
        tenant=former.tenant,
        workflow=former.workflow,
        version=former.version,
        input=bytes(former.input),
        requested_by_id=former.requested_by_id,
        idempotency_key=f"{BY_PAGE}{uuid4()}" if is_of_page else None,
        seed=os.urandom(16),
        status=Run.Status.WAITING,
        waiting_for=_words_of(former),
        waiting_since=now,
        created_at=begun_at,
        started_at=begun_at,
        awaited=[awaited],
        deadline_at=former.deadline_at and former.deadline_at + (begun_at - former.created_at),
        is_inert=True,
    )
    Claim.objects.create(run=run, tenant=run.tenant, fence=1)
    return run


def _words_of(former: Run) -> str:
    """What the model's run said that it waited for, when it waited last."""
    waited = Event.objects.filter(run=former, kind="run.waiting").order_by("-seq").first()
    said = "" if waited is None else str(canonical.decode(waited.body)["for"])
    return said[:255] or "people to decide"


def _copy(run: Run, step: Step, position: int, later: timedelta) -> None:
    with prepared.cursor() as cursor:
        cursor.execute(
            COPY,
            {
                "id": new_id(),
                "run": run.id,
                "position": position,
                "key": canonical.step_key(run.tenant, run.id, position, step.name),
                "later": later,
                "model": step.id,
            },
        )
    told = Event.objects.filter(run=step.run_id, position=step.position, kind__startswith="step.")
    _tell_again(run, list(told.order_by("seq")), position)


def _tell_again(run: Run, events: list[Event], position: int | None) -> None:
    for event in events:
        body = canonical.decode(event.body)
        with _traced(run) if event.trace_id else nullcontext():
            journal.append(run.id, event.kind, body, position=position, actor=event.actor)


@contextmanager
def _traced(run: Run) -> Iterator[None]:
    """Events of the first segment bear its trace, here as in any run."""
    token = current_trace_id.set(trace_id(run.id, 1))
    try:
        yield
    finally:
        current_trace_id.reset(token)


def _hold(run: Run, model: Step, position: int, encoded: bytes) -> UUID:
    id: UUID = new_id()
    key = canonical.step_key(run.tenant, run.id, position, model.name)
    digest = canonical.step_digest(model.name, encoded)
    waiting = {"for": run.waiting_for, "positions": [position]}
    with _traced(run):
        journal.append(run.id, "run.waiting", waiting, actor="worker")
    with prepared.cursor() as cursor:
        cursor.execute(
            HOLD,
            {
                "id": id,
                "run": run.id,
                "position": position,
                "arguments": encoded,
                "digest": digest,
                "key": key,
                "model": model.id,
            },
        )
    held = {"name": model.name, "key": key, "digest": digest.hex()}
    with _traced(run):
        journal.append(run.id, "step.held", held, position=position, actor="worker")
    return id
