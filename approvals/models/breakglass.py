"""Breaking the glass: two people who may decide for an hour, and the review that is due."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models import new_id


class Signed(models.Model):
    """Where the signature of a person's key is kept beside the seal; see `glasskeys`."""

    key = models.UUIDField(null=True)
    client_data = models.BinaryField(null=True)
    authenticator_data = models.BinaryField(null=True)
    signature = models.BinaryField(null=True)

    class Meta:
        abstract = True


class BreakGlass(Signed):
    """What one person asks for; without a second and the gatekeeper's proof it is nothing."""

    class Scope(models.TextChoices):
        EVERYTHING = "everything", "Everything"
        TOOL = "tool", "Tool"
        WORKFLOW = "workflow", "Workflow"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    scope = models.CharField(max_length=16, choices=Scope)
    subject = models.CharField(max_length=255, default="", help_text="empty for everything")
    reason = models.CharField(max_length=1000)
    minutes = models.PositiveSmallIntegerField(help_text="from the confirmation, at most 60")
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    seal = models.BinaryField(help_text="HMAC of the signed-in confirmation")
    opened_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scope="everything", subject="")
                | (Q(scope__in=["tool", "workflow"]) & ~Q(subject="")),
                name="approvals_breakglass_subject",
            ),
            models.CheckConstraint(
                condition=Q(minutes__gte=1, minutes__lte=60), name="approvals_breakglass_hour"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-opened_at", "-id"], name="approvals_breakglass_new")
        ]


class BreakGlassConfirmation(Signed):
    """The second human, from whose confirmation the time runs."""

    breakglass = models.OneToOneField(
        BreakGlass, primary_key=True, on_delete=models.PROTECT, related_name="confirmation"
    )
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    seal = models.BinaryField(help_text="HMAC of the signed-in confirmation")
    at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(db_default=Now(), help_text="by the database")
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        indexes = [models.Index(fields=["tenant", "until"], name="approvals_breakglass_until")]


class BreakGlassProof(models.Model):
    """What the gatekeeper found of the two signatures: only with it the glass is broken."""

    breakglass = models.OneToOneField(
        BreakGlass, primary_key=True, on_delete=models.PROTECT, related_name="proof"
    )
    tenant = models.CharField(max_length=63)
    because = models.CharField(
        max_length=255, default="", help_text="why it stays whole; empty when both hold"
    )
    verified_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")


class BreakGlassReview(models.Model):
    """What somebody found who looked at it afterwards. Without it the glass stays whole."""

    breakglass = models.OneToOneField(
        BreakGlass, primary_key=True, on_delete=models.PROTECT, related_name="review"
    )
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    found = models.CharField(max_length=1000)
    seal = models.BinaryField(help_text="HMAC of the signed-in confirmation")
    at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")
