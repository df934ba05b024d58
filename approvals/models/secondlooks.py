"""What keeps consent from becoming a habit: recaps, and second looks at what was cleared."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from approvals.models.decisions import Decision
from approvals.models.gates import Gate
from runs.models import new_id


class Recap(models.Model):
    """That a person has looked over what they approved lately, and goes on. Append-only."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    upto = models.ForeignKey(
        Decision,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="the newest approval that they were shown",
    )
    approvals = models.PositiveSmallIntegerField(default=0, help_text="how many, by the database")
    seal = models.BinaryField(help_text="HMAC of the signed-in confirmation; see approvals.pace")
    at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        indexes = [models.Index(fields=["tenant", "person", "-at"], name="approvals_recap_of")]


class SecondLook(models.Model):
    """That somebody else is to look at a cleared gate afterwards, and what they found.

    Drawn by the gatekeeper; what was found is written once, by web, sealed.
    """

    class Why(models.TextChoices):
        SAMPLED = "sampled", "Sampled"
        FAST = "fast", "Approved fast"
        CANARY = "canary", "Canary"

    class Verdict(models.TextChoices):
        RIGHT = "right", "Right"
        WRONG = "wrong", "Wrong"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    gate = models.OneToOneField(Gate, on_delete=models.PROTECT, related_name="second_look")
    why = models.CharField(max_length=16, choices=Why, default="", help_text="by the database")
    drawn_at = models.DateTimeField(db_default=Now())
    looked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    verdict = models.CharField(max_length=16, choices=Verdict, default="")
    note = models.CharField(max_length=1000, default="")
    seal = models.BinaryField(null=True, help_text="HMAC of what was found; see secondlooks")
    looked_at = models.DateTimeField(null=True)
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(why__in=["sampled", "fast", "canary"]), name="approvals_secondlook_why"
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=["", "right", "wrong"]),
                name="approvals_secondlook_verdict",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "drawn_at", "id"],
                condition=Q(looked_at__isnull=True),
                name="approvals_secondlook_due",
            ),
            models.Index(fields=["tenant", "-looked_at", "-id"], name="approvals_secondlook_done"),
        ]
