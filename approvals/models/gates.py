"""Where people decide."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from approvals.models.policies import Policy
from runs.models import Run, Step, new_id


class Gate(models.Model):
    """Where people decide about one held step. Opened by the gatekeeper alone."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        APPROVED = "approved", "Approved"
        DENIED = "denied", "Denied"
        EXPIRED = "expired", "Expired"
        WITHDRAWN = "withdrawn", "Withdrawn"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    step = models.OneToOneField(Step, on_delete=models.PROTECT, related_name="gate")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="gates")
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    group = models.CharField(max_length=63)
    quorum = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    envelope = models.BinaryField(help_text="RFC 8785 bytes: exactly what is consented to")
    digest = models.BinaryField(help_text="SHA-256 over the domain tag and the envelope")
    # For lists and sorting only; the gate page reads the envelope itself.
    tool = models.CharField(max_length=128)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    payee = models.CharField(max_length=255)
    payee_name = models.CharField(max_length=255, default="")
    opened_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["id", "step", "digest"], name="approvals_gate_bytes"),
            models.UniqueConstraint(fields=["id", "digest"], name="approvals_gate_digest"),
            models.CheckConstraint(
                condition=Q(status__in=["open", "approved", "denied", "expired", "withdrawn"]),
                name="approvals_gate_status",
            ),
            models.CheckConstraint(condition=Q(quorum__gte=1), name="approvals_gate_quorum"),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "expires_at", "id"],
                condition=Q(status="open"),
                name="approvals_gate_open",
            ),
            models.Index(fields=["tenant", "-opened_at", "-id"], name="approvals_gate_newest"),
            models.Index(
                fields=["expires_at"], condition=Q(status="open"), name="approvals_gate_ends"
            ),
            models.Index(
                fields=["tenant", "-closed_at"],
                condition=~Q(status="open"),
                name="approvals_gate_closed",
            ),
        ]
