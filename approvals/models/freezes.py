"""What stands still because somebody, or a threshold of the policy, froze it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from approvals.models.changes import Change
from runs.models import new_id


class Freeze(models.Model):
    """While it is not lifted, nothing in its scope is cleared or spent. One person freezes,
    two admins thaw."""

    class Scope(models.TextChoices):
        EVERYTHING = "everything", "Everything"
        TOOL = "tool", "Tool"
        WORKFLOW = "workflow", "Workflow"
        PAYEE = "payee", "Payee"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    scope = models.CharField(max_length=16, choices=Scope)
    subject = models.CharField(max_length=255, default="", help_text="empty for everything")
    reason = models.CharField(max_length=1000)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    seal = models.BinaryField(null=True, help_text="HMAC of the signed-in click; none if automatic")
    at = models.DateTimeField(db_default=Now())
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.OneToOneField(Change, null=True, on_delete=models.PROTECT, related_name="+")
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scope="everything", subject="")
                | (Q(scope__in=["tool", "workflow", "payee"]) & ~Q(subject="")),
                name="approvals_freeze_subject",
            ),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True)
                | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="approvals_freeze_lifted",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "at"],
                condition=Q(lifted_at__isnull=True),
                name="approvals_freeze_active",
            ),
        ]
