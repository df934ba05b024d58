"""Forks: a new run that begins where another one was, with what had ended by then.

Outcomes are copied, leave never is: no consent, no clearance, no gate. The effects of the fork have
keys of their own, because keys are made from the id of the run.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import BooleanField, F, Func, Value

from runs import canonical, journal, positions
from runs.births import insert_run
from runs.claims import Held
from runs.errors import ForkRefused
from runs.lifecycle import checked_input, get_workflow
from runs.models import Event, Run, Step, new_id
from runs.points import reach

OUTCOMES = (Step.Status.SUCCEEDED, Step.Status.FAILED, Step.Status.DENIED)
COPY = """
    INSERT INTO runs_step (
        id, tenant, run_id, position, kind, name, effect, is_money, is_remote, status,
        arguments, digest, key, attempt, failures, result, error, held_because,
        started_at, finished_at, copied_from)
    SELECT n.id, first.tenant, %(run)s, first.position, first.kind, first.name, 'safe', false,
        false, last.status, first.arguments, first.digest, n.key, last.attempt, last.failures,
        last.result, last.error, '', last.started_at, last.finished_at, last.id
    FROM unnest(%(ids)s::uuid[], %(first)s::uuid[], %(last)s::uuid[], %(keys)s::text[])
        AS n (id, first, last, key)
    JOIN runs_step first ON first.id = n.first JOIN runs_step last ON last.id = n.last
"""
LINE = """
    WITH RECURSIVE line AS (
        SELECT id, requested_by_id, forked_from_id, parent_id, continued_from_id
        FROM runs_run WHERE id = {run}
        UNION
        SELECT r.id, r.requested_by_id, r.forked_from_id, r.parent_id, r.continued_from_id
        FROM runs_run r JOIN line
            ON r.id IN (line.forked_from_id, line.parent_id, line.continued_from_id)
    )
"""
"""A run and all that it came from: by fork, by its parent, by continuing."""
FOUND = """
    EXISTS (SELECT FROM runs_run own WHERE own.id = {run} AND (
        own.requested_by_id = {whom}
        OR num_nonnulls(own.forked_from_id, own.parent_id, own.continued_from_id) > 0
        AND EXISTS ({line} SELECT FROM line WHERE requested_by_id = {whom})))
"""


def fork(*, run: Run, at: int, requested_by: Any, input: dict[str, Any] | None = None) -> Run:
    """Starts a new run that has the outcomes of `run` before the position `at`; returns it.

    The first worker that claims it copies them. From there on it is a run of its own, of the
    person who asked for it, with the same random numbers, and with `input` where that is given:
    a workflow that then calls its earlier steps with other arguments is quarantined. The old
    run stays as it is. Raises `ForkRefused`, `UnknownWorkflow`, `InvalidInput` or
    `PayloadTooLarge`; then nothing has been started.
    """
    check(run=run, at=at)
    declared = get_workflow(run.workflow)
    encoded = bytes(run.input) if input is None else checked_input(declared, input)
    with transaction.atomic():
        made = insert_run(
            tenant=run.tenant,
            declared=declared,
            encoded=encoded,
            requested_by_id=requested_by.pk,
            actor=requested_by.get_username(),
            said={
                "requested_by": requested_by.get_username(),
                "forked_from": str(run.pk),
                "forked_at": at,
            },
            seed=bytes(run.seed),
            forked_from=run,
            forked_at=at,
        )
    transaction.on_commit(lambda: reach("committed:run.started"))
    return made


def requesters_of(run_id: UUID) -> set[int]:
    """Who requested a run, and the runs that it was forked from, also above its parents: the
    database knows the same (`approvals_requested_before`)."""
    line = LINE.format(run="%s")
    with connection.cursor() as cursor:
        cursor.execute(f"{line} SELECT DISTINCT requested_by_id FROM line", [run_id])
        return {row[0] for row in cursor.fetchall()}


class RequestedBy(Func):
    """Whether a person is one of `requesters_of` the run in a column, for the rows of a list.

    Most runs came from no other, and theirs is one row to read: only the rest are followed.
    """

    output_field = BooleanField()

    def __init__(self, run: str, person_id: int) -> None:
        super().__init__(F(run), Value(person_id))

    def as_sql(
        self, compiler: Any, connection: Any, *_: Any, **__: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        column, person = self.get_source_expressions()
        run, of_run = compiler.compile(column)
        whom, of_person = compiler.compile(person)
        found = FOUND.format(line=LINE.format(run="own.id"), run=run, whom=whom)
        return found, (*of_run, *of_person, *of_person)


def check(*, run: Run, at: int) -> None:
    """Raises `ForkRefused` with a sentence unless the run can be forked at this position."""
    if run.is_inert:
        raise ForkRefused("This run cannot be forked.")
    steps = {step.position: step for step in _steps_before(run, positions.REPLACEMENT)}
    last = _effective(run, steps)
    end = max(steps, default=-1) + 1
    if not 0 <= at <= end:
        raise ForkRefused(f"The run has no step {at}; it can be forked at 0 to {end}.")
    for position, step in sorted(last.items()):
        if position < at and step.status not in OUTCOMES:
            raise ForkRefused(
                f"Step {position} ({step.name}) is {step.get_status_display().lower()}, so it has"
                f" no outcome that could be copied; fork at {position} or before."
            )
    _refuse_undone(run, at)
    _refuse_unended_children(run, at)


def _refuse_undone(run: Run, at: int) -> None:
    undone = Step.objects.filter(run=run, position__gte=positions.UNDO).exclude(
        status__in=(Step.Status.DENIED, Step.Status.CANCELLED)
    )
    first = min(map(positions.original, undone.values_list("position", flat=True)), default=at)
    if first < at:
        raise ForkRefused(
            "Steps of this run have been undone, so their outcomes hold no longer;"
            f" fork at {first} or before."
        )


def _refuse_unended_children(run: Run, at: int) -> None:
    child = Run.objects.filter(parent=run, parent_position__lt=at, finished_at__isnull=True).first()
    if child is not None:
        raise ForkRefused(
            f"The run of {child.workflow} that step {child.parent_position} started has not ended;"
            f" fork at {child.parent_position} or before."
        )


def _steps_before(run: Run, position: int) -> list[Step]:
    return list(
        Step.objects.filter(run=run, position__lt=position)
        .defer("arguments", "result")
        .order_by("position")
    )


def _effective(run: Run, steps: dict[int, Step]) -> dict[int, Step]:
    """By position, the step that stands last in its place: where people gave a step other
    arguments, the one that took its place."""
    last = dict(steps)
    replaced = Step.objects.filter(
        run=run, position__gte=positions.REPLACEMENT, position__lt=positions.UNDO
    )
    for step in replaced.defer("arguments", "result").order_by("position"):
        if positions.original(step.position) in last:
            last[positions.original(step.position)] = step
    return last


def copy_once(claim: Held, run: Run) -> None:
    """In the worker: gives a fork what its origin had come to, in one transaction, once. Raises
    `ForkRefused` when that has been undone since the fork was asked for."""
    if run.forked_from_id is None or run.forked_at is None:
        return
    if Event.objects.filter(run=run, kind="run.forked").exists():
        return
    with transaction.atomic(), connection.cursor() as cursor:
        origin = Run.objects.get(pk=run.forked_from_id)
        check(run=origin, at=run.forked_at)
        first = {step.position: step for step in _steps_before(origin, run.forked_at)}
        last = _effective(origin, first)
        body = {"from": str(origin.pk), "at": run.forked_at, "steps": len(first)}
        journal.append(run.pk, "run.forked", body, actor="worker", fence=claim.fence)
        places = sorted(first)
        cursor.execute(
            COPY,
            {
                "run": run.pk,
                "ids": [new_id() for _ in places],
                "first": [first[p].pk for p in places],
                "last": [last[p].pk for p in places],
                "keys": [canonical.step_key(run.tenant, run.pk, p, first[p].name) for p in places],
            },
        )
    reach("committed:run.forked")
