"""Requests that can never be paid, planted among the others."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from approvals.models.gates import Gate
from runs.models import Step


class Canary(models.Model):
    """That a held step, and so the gate that is open for it, is a test of those who decide there.

    Planted by the gatekeeper with the step of an inert run, before there is a gate. Append-only:
    what is a canary stays one, and the database lets no clearance rest on it.
    """

    class Flaw(models.TextChoices):
        AMOUNT = "amount", "Ten times the amount"
        ACCOUNT = "account", "Another account"

    step = models.OneToOneField(
        Step, primary_key=True, on_delete=models.PROTECT, related_name="canary"
    )
    tenant = models.CharField(max_length=63)
    flaw = models.CharField(max_length=16, choices=Flaw)
    model = models.ForeignKey(
        Gate, on_delete=models.PROTECT, related_name="+", help_text="the payment it is modelled on"
    )
    planted_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        verbose_name_plural = "canaries"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(flaw__in=["amount", "account"]), name="approvals_canary_flaw"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-planted_at"], name="approvals_canary_newest")]
