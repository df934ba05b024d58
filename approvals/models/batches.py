"""What one person said about a list of requests at once."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models import new_id


class Batch(models.Model):
    """One confirmation of a person over a list of digests, all of the lowest tier. Append-only.

    It decides nothing by itself: each request has a decision of its own, under a seal of its
    own, that names the batch.
    """

    class Verdict(models.TextChoices):
        APPROVE = "approve", "Approve"
        DENY = "deny", "Deny"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=16, choices=Verdict)
    reason = models.CharField(max_length=1000, default="")
    digests = ArrayField(models.BinaryField(), help_text="of the requests, in ascending order")
    gates = ArrayField(models.UUIDField(), help_text="where each of the digests is asked about")
    digest = models.BinaryField(help_text="SHA-256 over the list; see approvals.batches")
    seal = models.BinaryField(help_text="HMAC of the signed-in confirmation; see approvals.batches")
    made_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict__in=["approve", "deny"]), name="approvals_batch_verdict"
            ),
        ]

    @property
    def size(self) -> int:
        """How many requests it is about, whatever became of them."""
        return len(self.digests)
