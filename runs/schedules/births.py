"""The run of a tick: at most one, whoever starts it."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model

from runs import canonical, dispatch, journal
from runs.errors import Refused
from runs.lifecycle import checked_input, get_workflow
from runs.models import Claim, Run, Schedule, WorkflowDeclaration


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
    declared: WorkflowDeclaration = get_workflow(schedule.workflow)
    run = Run.objects.create(
        tenant=schedule.tenant,
        workflow=declared.name,
        version=declared.version,
        input=bytes(schedule.input),
        requested_by_id=requested_by_id,
        seed=os.urandom(16),
        schedule=schedule,
        scheduled_for=at,
    )
    Claim.objects.create(run=run, tenant=schedule.tenant)
    body = {
        "workflow": declared.name,
        "version": declared.version,
        "input": hashlib.sha256(bytes(schedule.input)).hexdigest(),
        "schedule": schedule.name,
        "scheduled_for": at.isoformat(),
    }
    journal.append(run.id, "run.started", body, actor=actor)
    dispatch.hint("runs", run.id)
    return run
