"""Celery's side of the engine. A message is a hint that carries an id, nothing else."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from runs import effects, limits, worker

EXECUTE_SECONDS = limits.MAX_TIMEOUT_SECONDS + limits.SLICE_SECONDS + 60
"""Celery's own limit, above the longest attempt: each attempt has a limit of its own."""


@shared_task(name="runs.advance", ignore_result=True)
def advance(run_id: str) -> None:
    worker.drain(UUID(run_id))


@shared_task(name="runs.execute", ignore_result=True, time_limit=EXECUTE_SECONDS)
def execute(step_id: str) -> None:
    effects.settle(UUID(step_id))
    effects.drain(UUID(step_id))
