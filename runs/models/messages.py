"""What is sent to a run."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models.ids import new_id
from runs.models.runs import Run


class Signal(models.Model):
    """A message to a run, kept until the run takes it. Names that begin with `answer:` carry
    the answer to the question at that position."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="signals", db_index=False)
    name = models.CharField(max_length=128)
    dedup_key = models.CharField(max_length=255, null=True)
    payload = models.BinaryField(help_text="RFC 8785 bytes")
    sender = models.CharField(max_length=150, help_text="a person, or `run <id>`")
    sent_at = models.DateTimeField(db_default=Now())
    taken_at = models.PositiveIntegerField(null=True, help_text="the position that took it")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "run", "dedup_key"], name="runs_signal_once"),
        ]
        indexes = [
            models.Index(
                fields=["run", "name", "id"],
                condition=Q(taken_at__isnull=True),
                name="runs_signal_mailbox",
            ),
        ]
