"""One slice of a run: claim it, re-run its workflow, stop where it has to wait."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from runs import (
    canonical,
    claims,
    continuations,
    dispatch,
    forks,
    journal,
    limits,
    overdue,
    telemetry,
    transitions,
    undo,
)
from runs.calls import AUTHOR_FAILURES, described
from runs.claims import Held
from runs.context import RunContext
from runs.crew import company
from runs.declare import WORKFLOWS, Workflow
from runs.errors import (
    ClaimMissed,
    Fenced,
    ForkRefused,
    HistoryFull,
    InvalidInput,
    Mismatch,
    NotCanonical,
    PayloadTooLarge,
    StepError,
)
from runs.leaving import ContinuedAsNew, Parked, Steered, Stopped
from runs.models import Run
from runs.points import reach
from runs.slice import Slice

logger = logging.getLogger(__name__)


def drain(
    first: UUID | None = None,
    is_ending: Callable[[], bool] = lambda: False,
    *,
    seconds: float = limits.SLICE_SECONDS,
) -> int:
    """Advances the hinted run, then whatever else is ready, for at most so long and until
    `is_ending`.

    Returns how many slices were run.
    """
    until, count = time.monotonic() + seconds, 0
    if first is not None:
        count += advance(first)
    while time.monotonic() < until and _advance_next(is_ending):
        count += 1
    return count


def advance(run_id: UUID) -> bool:
    """Runs one slice; False when the run was not to be had."""
    with company.together():
        if _advance(claims.take_run(run_id, is_suspect=False)):
            return True
    if not claims.is_suspect(run_id):
        return False
    with company.alone(run_id) as is_first:
        return is_first and _advance(claims.take_run(run_id))


def _advance_next(is_ending: Callable[[], bool]) -> bool:
    with company.together():
        return not is_ending() and _advance(claims.take_next())


def _advance(claim: Held | None) -> bool:
    if claim is None:
        return False
    reach("committed:run.claimed")
    try:
        with claims.keeper.keeping(claim):
            _slice(claim)
    except Fenced as fenced:
        logger.error("fenced: %s", fenced)
    except ClaimMissed as missed:
        logger.warning("%s", missed)
    return True


def _slice(claim: Held) -> None:
    run = claim.run or journal.load_run(claim.id)
    attributes = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": run.workflow,
        "gen_ai.conversation.id": str(run.id),
        "placet.run.id": str(run.id),
        "placet.tenant": run.tenant,
    }
    with telemetry.segment(f"invoke_workflow {run.workflow}", run.id, claim.fence, attributes):
        try:
            while not _go_on(claim, run):
                run = journal.load_run(claim.id)
        except Stopped as stopped:
            _stop(claim, stopped.reason)
        except Mismatch as mismatch:
            _stop(claim, mismatch)


def _go_on(claim: Held, run: Run) -> bool:
    """Goes on with a run; False when people have asked something of it meanwhile, which comes
    before everything else."""
    try:
        _go_its_way(claim, run)
    except Steered:
        return False
    return True


def _go_its_way(claim: Held, run: Run) -> None:
    """What there is to be done: what people asked for, the way to an end, or the workflow."""
    workflow = WORKFLOWS.get(run.workflow)
    if run.terminate_requested_at is not None:
        transitions.terminate(claim)
    elif run.pause_requested_at is not None:
        transitions.pause(claim)
    elif run.ending is not None:
        undo.go_on(claim, run)
    elif run.cancel_requested_at is not None:
        undo.end(claim, run, *overdue.ending_of(run))
    elif claim.deaths >= limits.MAX_DEATHS:
        _quarantine_poison(claim)
    elif workflow is None:
        _quarantine_unknown(claim, run)
    else:
        try:
            forks.copy_once(claim, run)
        except ForkRefused as refused:
            transitions.finish_run(claim, "failed", error=described(refused))
        else:
            _re_run(claim, run, workflow)


def _re_run(claim: Held, run: Run, workflow: Workflow) -> None:
    # A journal that only says that its run was started has no steps, but those a fork has copied.
    # Asked once: when people have steered the run, this slice itself may have recorded some.
    is_fresh = run is claim.run and claim.last_seq == 1 and run.forked_from_id is None
    entries = {} if is_fresh else journal.load(run.id)
    slice = Slice(claim=claim, run=run, journal=entries, show_progress=show_progress)
    asked = undo.asked_by_a_person(slice.journal)
    if asked is not None:
        return undo.end(claim, run, "failed", asked)
    try:
        given = workflow.checked_input(canonical.decode(run.input))
        result = workflow.function(RunContext(slice), **given)
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError(f"The workflow {workflow.name} is async; only its tools may be.")
        slice.check_is_over()
        transitions.finish_run(claim, "succeeded", result=canonical.encode(result))
        logger.info("run %s %s has succeeded", run.id, run.workflow)
    except Parked as parked:
        transitions.park(
            claim,
            declared=slice.declared,
            waits=slice.waits,
            awaited=parked.awaited,
            awaits_any=parked.awaits_any,
            waiting_for=parked.waiting_for[:255],
        )
        logger.info("run %s %s waits for %s", run.id, run.workflow, parked.waiting_for)
    except ContinuedAsNew as again:
        continuations.go_on(claim, run, again.input)
        logger.info("run %s %s goes on in a new run", run.id, run.workflow)
    except (Fenced, ClaimMissed):
        raise
    except (InvalidInput, NotCanonical, PayloadTooLarge) as refused:
        undo.end(claim, run, "failed", described(refused))
    except AUTHOR_FAILURES as error:
        # A transaction that lost its connection has opened another, which says nothing of that.
        is_lost = isinstance(error, OperationalError | InterfaceError)
        if is_lost or connection.needs_rollback or not connection.is_usable():
            raise
        told = described(error)
        # Where a step failed is known; elsewhere the author needs the line.
        is_unforeseen = not isinstance(error, StepError)
        logger.info(
            "The workflow %s failed: %s", workflow.name, told["message"], exc_info=is_unforeseen
        )
        undo.end(claim, run, "failed", told)


def _stop(claim: Held, reason: Exception) -> None:
    """The engine could not go on: set aside where code and journal differ, else let go."""
    error: dict[str, Any] = described(reason)
    if isinstance(reason, Mismatch):
        error |= {"recorded": reason.recorded, "found": reason.found}
    elif not isinstance(reason, HistoryFull):
        raise reason
    transitions.quarantine(claim.id, error, claim=claim)


def _quarantine_poison(claim: Held) -> None:
    message = (
        f"{claim.deaths} workers were lost one after the other at the same place of this run;"
        " none tries it again until a person has looked."
    )
    transitions.quarantine(claim.id, {"kind": "Poison", "message": message}, claim=claim)


def _quarantine_unknown(claim: Held, run: Run) -> None:
    message = f"This worker's code has no workflow called {run.workflow}."
    transitions.quarantine(run.id, {"kind": "Mismatch", "message": message}, claim=claim)


def show_progress(claim: Held, done: int, total: int, note: str) -> None:
    """Writes how far a run is, for the holder of its claim only."""
    values: list[Any] = [max(done, 0), max(total, 0), note, claim.id, claim.id, claim.fence]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE runs_run SET progress_done = %s, progress_total = %s, progress_note = %s
            WHERE id = %s AND EXISTS (SELECT FROM runs_claim WHERE run_id = %s AND fence = %s
                                      AND expires_at > clock_timestamp())
            RETURNING tenant
            """,
            values,
        )
        row = cursor.fetchone()
    if row is None:
        raise Fenced(f"The claim on run {claim.id} with fence {claim.fence} is lost.")
    dispatch.show(row[0], "run", claim.id, 0)
