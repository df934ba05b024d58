"""A run, and the claim that serialises all writing to it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models.ids import new_id


class Run(models.Model):
    """One execution of a workflow."""

    class Status(models.TextChoices):
        READY = "ready", "Ready"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting"
        PAUSED = "paused", "Paused"
        QUARANTINED = "quarantined", "Quarantined"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    workflow = models.CharField(max_length=128)
    version = models.PositiveIntegerField()
    agent = models.CharField(
        max_length=128,
        default="",
        db_default="",
        help_text="of its workflow as of its version, by the database; empty: nobody said",
    )
    status = models.CharField(max_length=16, choices=Status, default=Status.READY)
    input = models.BinaryField()
    result = models.BinaryField(null=True)
    error = models.JSONField(null=True, help_text="{kind, message} of what ended the run")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    idempotency_key = models.CharField(max_length=255, null=True)
    seed = models.BinaryField(help_text="what run.random() and run.uuid4() are drawn from")
    waiting_for = models.CharField(max_length=255, default="", help_text="in words")
    waiting_since = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(null=True)
    progress_done = models.PositiveIntegerField(default=0)
    progress_total = models.PositiveIntegerField(default=0)
    progress_note = models.CharField(max_length=255, default="")
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.CharField(max_length=150, default="")
    pause_requested_at = models.DateTimeField(null=True)
    terminate_requested_at = models.DateTimeField(null=True)
    steered_because = models.CharField(max_length=1000, null=True, help_text="a person's reason")
    awaited = ArrayField(
        models.PositiveIntegerField(), null=True, help_text="positions that it waits for"
    )
    awaits_any = models.BooleanField(db_default=False, help_text="the first of them wakes it")
    deadline_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(
        db_default=Now(), help_text="since when it is ready, by the database: its place in line"
    )
    ending = models.JSONField(
        null=True, help_text="{status, error} that it ends with once all is undone"
    )
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="children", db_index=False
    )
    parent_position = models.PositiveIntegerField(null=True)
    depth = models.PositiveSmallIntegerField(db_default=0, help_text="how many ancestors it has")
    is_detached = models.BooleanField(db_default=False, help_text="outlives its parent")
    continued_from = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="continued_by"
    )
    forked_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="forks", db_index=False
    )
    forked_at = models.PositiveIntegerField(null=True, help_text="the first position of its own")
    is_inert = models.BooleanField(
        db_default=False, help_text="there to be looked at; nothing of it is ever started"
    )
    schedule = models.ForeignKey(
        "Schedule", on_delete=models.PROTECT, null=True, related_name="runs", db_index=False
    )
    scheduled_for = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="runs_run_started_once",
            ),
            models.UniqueConstraint(
                fields=["tenant", "parent", "parent_position"],
                condition=Q(parent__isnull=False),
                name="runs_run_child_once",
            ),
            models.UniqueConstraint(
                fields=["tenant", "schedule", "scheduled_for"],
                condition=Q(schedule__isnull=False),
                name="runs_run_tick_once",
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "ready",
                        "running",
                        "waiting",
                        "paused",
                        "quarantined",
                        "succeeded",
                        "failed",
                        "cancelled",
                    ]
                ),
                name="runs_run_status",
            ),
            models.CheckConstraint(
                condition=~Q(status="waiting") | ~Q(waiting_for=""),
                name="runs_run_waits_in_words",
            ),
            models.CheckConstraint(
                condition=Q(is_inert=False) | Q(status__in=["waiting", "paused", "cancelled"]),
                name="runs_run_inert_is_never_run",
            ),
        ]
        indexes = [
            # Read backwards: rows are added at its end, where pages fill up.
            models.Index(fields=["tenant", "created_at", "id"], name="runs_run_newest"),
            models.Index(
                fields=["ready_at", "id"], condition=Q(status="ready"), name="runs_run_in_line"
            ),
            models.Index(
                fields=["tenant", "-created_at"],
                condition=Q(status__in=["failed", "paused", "quarantined"]),
                name="runs_run_stuck",
            ),
            models.Index(fields=["id"], condition=Q(status="running"), name="runs_run_running"),
            models.Index(
                fields=["wake_at"],
                condition=Q(status="waiting", wake_at__isnull=False),
                name="runs_run_wake",
            ),
            models.Index(
                fields=["id"],
                condition=Q(cancel_requested_at__isnull=False, finished_at__isnull=True),
                name="runs_run_cancelling",
            ),
            models.Index(
                fields=["deadline_at"],
                condition=Q(deadline_at__isnull=False, finished_at__isnull=True),
                name="runs_run_deadline",
            ),
            models.Index(
                fields=["schedule"],
                condition=Q(schedule__isnull=False, finished_at__isnull=True),
                name="runs_run_of_schedule",
            ),
            models.Index(
                fields=["forked_from"],
                condition=Q(forked_from__isnull=False),
                name="runs_run_forks",
            ),
        ]


class Claim(models.Model):
    """The row that serialises all writing to one run: its fence, its holder, its last event.

    Narrow and apart from `Run`, so that heartbeats never rewrite the wide row.
    """

    run = models.OneToOneField(Run, primary_key=True, on_delete=models.PROTECT)
    tenant = models.CharField(max_length=63)
    fence = models.BigIntegerField(default=0)
    holder = models.CharField(max_length=128, default="")
    expires_at = models.DateTimeField(null=True)
    last_seq = models.BigIntegerField(default=0)
    head = models.BinaryField(null=True, help_text="the hash of the last event, once chained")
    deaths = models.PositiveIntegerField(db_default=0, help_text="workers lost since `died_at`")
    died_at = models.BigIntegerField(db_default=0, help_text="`last_seq` when a worker was lost")
