"""The journal."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from runs.models.runs import Run


class Event(models.Model):
    """One row of a run's journal. Append-only: no role may update or delete it."""

    pk = models.CompositePrimaryKey("run", "seq")
    tenant = models.CharField(max_length=63)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="events", db_index=False)
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=32, help_text="e.g. run.started, step.held")
    position = models.PositiveIntegerField(null=True)
    actor = models.CharField(max_length=150, default="", help_text="person or process")
    body = models.BinaryField(help_text="RFC 8785 bytes")
    at = models.DateTimeField(db_default=Now())
    trace_id = models.CharField(max_length=32, default="")
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")
    prev_hash = models.BinaryField(null=True)
    hash = models.BinaryField(null=True)
