"""Recurring schedules: runs that start by themselves, at most one for each time.

The rows are the truth, the worker's sweep fires them, and nothing of it is in a broker.
"""

from runs.schedules.backfills import backfill, count_backfill, trigger_now
from runs.schedules.firing import fire_due_schedules
from runs.schedules.reads import get_schedule, list_schedules, living_runs, next_times, recent_ticks
from runs.schedules.verbs import (
    change_schedule,
    create_schedule,
    delete_schedule,
    pause_schedule,
    resume_schedule,
)

__all__ = [
    "backfill",
    "change_schedule",
    "count_backfill",
    "create_schedule",
    "delete_schedule",
    "fire_due_schedules",
    "get_schedule",
    "list_schedules",
    "living_runs",
    "next_times",
    "pause_schedule",
    "recent_ticks",
    "resume_schedule",
    "trigger_now",
]
