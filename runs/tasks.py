"""Celery's side of the engine. A message is a hint that carries an id, nothing else; whoever has
worked it off may listen for more (`dispatch.following`)."""

from __future__ import annotations

from functools import cache
from uuid import UUID

from celery import shared_task
from django.conf import settings

from runs import dispatch, effects, limits, worker
from runs.crew import Crew

EXECUTE_SECONDS = limits.LISTEN_SECONDS + limits.SLICE_SECONDS + limits.MAX_TIMEOUT_SECONDS + 60
"""Celery's own limit, above the longest attempt that begins last: each has a limit of its own."""


@cache
def crew() -> Crew:
    """The threads of this process that run slices."""
    return Crew(settings.PLACET_RUNS_AT_ONCE, worker.drain)


@shared_task(name="runs.advance", ignore_result=True)
def advance(run_id: str) -> None:
    hints = dispatch.following("runs", UUID(run_id))
    if settings.PLACET_RUNS_AT_ONCE > 1:
        crew().work_off(hints)
    else:
        for hinted in hints:
            worker.drain(hinted)


@shared_task(name="runs.execute", ignore_result=True, time_limit=EXECUTE_SECONDS)
def execute(step_id: str) -> None:
    for hinted in dispatch.following("effects", UUID(step_id)):
        effects.drain(hinted)
