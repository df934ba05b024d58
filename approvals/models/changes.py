"""What admins change together: who reviews, what is in force, what is thawed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models import new_id


class Change(models.Model):
    """Something that takes two admins. Proposed by web, carried out by the gatekeeper alone."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        APPLIED = "applied", "Applied"
        REFUSED = "refused", "Refused"
        EXPIRED = "expired", "Expired"
        WITHDRAWN = "withdrawn", "Withdrawn"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    kind = models.CharField(max_length=32)
    body = models.BinaryField(help_text="RFC 8785 bytes: exactly what will be done")
    digest = models.BinaryField(help_text="SHA-256 over who asks, for what kind, and the body")
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=1000)
    seal = models.BinaryField(help_text="HMAC of the signed-in proposal")
    proposed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    closed_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=1000, default="", help_text="why it was not carried out")
    applied_in = models.BigIntegerField(null=True, help_text="transaction, by the database")
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["open", "applied", "refused", "expired", "withdrawn"]),
                name="approvals_change_status",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "expires_at", "id"],
                condition=Q(status="open"),
                name="approvals_change_open",
            ),
            models.Index(fields=["tenant", "-proposed_at", "-id"], name="approvals_change_newest"),
        ]


class ChangeVoice(models.Model):
    """What one admin says of a change. Append-only; one a person and change."""

    class Verdict(models.TextChoices):
        APPROVE = "approve", "Approve"
        REFUSE = "refuse", "Refuse"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="voices")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=16, choices=Verdict)
    reason = models.CharField(max_length=1000, default="")
    digest = models.BinaryField()
    seal = models.BinaryField(help_text="HMAC of the signed-in confirmation")
    at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "change", "person"], name="approvals_changevoice_one_vote"
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=["approve", "refuse"]), name="approvals_changevoice_verdict"
            ),
        ]
