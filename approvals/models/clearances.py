"""What follows a satisfied gate, append-only."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from approvals.models.gates import Gate
from runs.models import Step, new_id


class Clearance(models.Model):
    """What follows a satisfied gate: leave to run one step with exactly these bytes, once."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    step = models.OneToOneField(Step, on_delete=models.PROTECT, related_name="clearance")
    gate = models.OneToOneField(Gate, on_delete=models.PROTECT, related_name="clearance")
    digest = models.BinaryField()
    cleared_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["id", "step"], name="approvals_clearance_step"),
        ]


class ClearanceUse(models.Model):
    """The spending of a clearance; its primary key is why that happens once."""

    clearance = models.OneToOneField(Clearance, primary_key=True, on_delete=models.PROTECT)
    tenant = models.CharField(max_length=63)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="+")
    used_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")
