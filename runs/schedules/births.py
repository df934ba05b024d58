"""The run of a tick: at most one, whoever starts it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model

from runs import canonical
from runs.births import insert_run
from runs.errors import Refused
from runs.lifecycle import checked_input, get_workflow
from runs.models import Run, Schedule


def refusal(schedule: Schedule) -> str:
    """Why no run of a schedule can start now, in a sentence; empty when one can."""
    if not get_user_model().objects.filter(pk=schedule.owner_id, is_active=True).exists():
        return "The owner of the schedule is not active any more, so nobody would have asked."
    try:
        checked_input(get_workflow(schedule.workflow), canonical.decode(schedule.input))
    except Refused as error:
        return error.message
    return ""


def start(schedule: Schedule, at: datetime, *, requested_by_id: Any, actor: str) -> Run:
    """Starts the run of a tick inside the caller's transaction, which has locked the schedule."""
    return insert_run(
        tenant=schedule.tenant,
        declared=get_workflow(schedule.workflow),
        encoded=bytes(schedule.input),
        requested_by_id=requested_by_id,
        actor=actor,
        said={"schedule": schedule.name, "scheduled_for": at.isoformat()},
        schedule=schedule,
        scheduled_for=at,
    )
