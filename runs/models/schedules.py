"""When runs start by themselves."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models.ids import new_id
from runs.models.runs import Run


class Schedule(models.Model):
    """When runs of a workflow start by themselves."""

    class Overlap(models.TextChoices):
        SKIP = "skip", "Skip the new one"
        QUEUE = "queue", "Start it after the old one"
        CANCEL = "cancel", "Cancel the old one"
        ALLOW = "allow", "Let both run"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    name = models.CharField(max_length=128)
    workflow = models.CharField(max_length=128)
    input = models.BinaryField(help_text="RFC 8785 bytes")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="in whose name its runs are requested",
    )
    cron = models.CharField(max_length=255, default="", help_text="five fields; or an interval")
    time_zone = models.CharField(max_length=64, default="UTC")
    interval_seconds = models.PositiveIntegerField(null=True)
    overlap = models.CharField(max_length=8, choices=Overlap, default=Overlap.SKIP)
    catch_up_seconds = models.PositiveIntegerField(default=60)
    jitter_seconds = models.PositiveIntegerField(default=0)
    begins_at = models.DateTimeField(db_default=Now(), help_text="intervals are counted from here")
    next_at = models.DateTimeField(null=True, help_text="the next tick; none while it is paused")
    paused_at = models.DateTimeField(null=True)
    paused_because = models.CharField(max_length=1000, default="")
    ended_at = models.DateTimeField(null=True, help_text="deleted, but its runs name it")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                condition=Q(ended_at__isnull=True),
                name="runs_schedule_name",
            ),
            models.CheckConstraint(
                condition=Q(cron="", interval_seconds__gte=1)
                | (~Q(cron="") & Q(interval_seconds__isnull=True)),
                name="runs_schedule_cron_or_interval",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(next_at__isnull=False), name="runs_schedule_due"
            ),
        ]


class Tick(models.Model):
    """What became of one time of a schedule: at most one row, and so at most one run, each."""

    class Outcome(models.TextChoices):
        STARTED = "started", "Started"
        QUEUED = "queued", "Queued"
        SKIPPED = "skipped", "Skipped"
        MISSED = "missed", "Missed"
        REFUSED = "refused", "Refused"

    pk = models.CompositePrimaryKey("tenant", "schedule", "at")
    tenant = models.CharField(max_length=63)
    schedule = models.ForeignKey(Schedule, on_delete=models.PROTECT, related_name="ticks")
    at = models.DateTimeField(help_text="the time that was meant, before jitter")
    starts_at = models.DateTimeField(help_text="with jitter")
    outcome = models.CharField(max_length=8, choices=Outcome)
    because = models.CharField(max_length=255, default="", help_text="in words")
    is_backfill = models.BooleanField(default=False)
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(
                fields=["schedule", "at"], condition=Q(outcome="queued"), name="runs_tick_queued"
            ),
        ]
