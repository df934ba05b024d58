"""Who may decide on behalf of somebody else, and for how long."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from runs.models import new_id


class Delegation(models.Model):
    """A principal lets a delegate decide in their place, between two moments."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    principal = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    delegate = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    group = models.CharField(max_length=63, default="", help_text="empty for all groups")
    from_at = models.DateTimeField()
    until_at = models.DateTimeField()
    reason = models.CharField(max_length=1000)
    seal = models.BinaryField(help_text="HMAC of the principal's signed-in confirmation")
    made_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True)
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(until_at__gt=F("from_at")), name="approvals_delegation_span"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "delegate", "until_at"], name="approvals_delegation_to"),
            models.Index(fields=["tenant", "principal"], name="approvals_delegation_by"),
        ]
