"""Where people decide, and who has looked."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
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
        CHANGES_REQUESTED = "changes_requested", "Changes requested"
        EXPIRED = "expired", "Expired"
        WITHDRAWN = "withdrawn", "Withdrawn"
        REVOKED = "revoked", "Revoked"

    class Tier(models.TextChoices):
        CONFIRM = "confirm", "Confirm"
        PASSKEY = "passkey", "Passkey"
        TYPED = "typed", "Passkey and typed fact"
        CRITICAL = "critical", "Second person and cooling-off"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    step = models.OneToOneField(Step, on_delete=models.PROTECT, related_name="gate")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="gates")
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    rule = models.PositiveIntegerField(help_text="which of the policy's rules decided, from 0")
    rule_name = models.CharField(max_length=128)
    needs = models.JSONField(help_text="what that rule asks for, word for word")
    supersedes = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="superseded_by",
        help_text="the gate whose request was changed into this one",
    )
    status = models.CharField(max_length=24, choices=Status, default=Status.OPEN)
    envelope = models.BinaryField(help_text="RFC 8785 bytes: exactly what is consented to")
    digest = models.BinaryField(help_text="SHA-256 over the domain tag and the envelope")
    # What the rule asks for, in columns that lists can ask for; told by the database.
    tier = models.CharField(max_length=16, choices=Tier, db_default=Tier.CONFIRM)
    quorum = models.PositiveSmallIntegerField(db_default=0, help_text="the fewest people it takes")
    groups = ArrayField(
        models.CharField(max_length=80),
        db_default=models.Value([], output_field=ArrayField(models.CharField(max_length=80))),
    )
    later_groups = ArrayField(
        models.CharField(max_length=80),
        db_default=models.Value([], output_field=ArrayField(models.CharField(max_length=80))),
    )
    escalates_at = models.DateTimeField(null=True)
    clears_at = models.DateTimeField(null=True, help_text="the end of its cooling-off")
    # For lists and sorting only; the gate page reads the envelope itself.
    tool = models.CharField(max_length=128)
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, default="")
    payee = models.CharField(max_length=255, default="")
    payee_name = models.CharField(max_length=255, default="")
    opened_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "open",
                        "approved",
                        "denied",
                        "changes_requested",
                        "expired",
                        "withdrawn",
                        "revoked",
                    ]
                ),
                name="approvals_gate_status",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "expires_at", "id"],
                condition=Q(status="open"),
                name="approvals_gate_open",
            ),
            models.Index(
                fields=["tenant", "amount_minor", "id"],
                condition=Q(status="open"),
                name="approvals_gate_amount",
            ),
            models.Index(fields=["tenant", "-opened_at", "-id"], name="approvals_gate_newest"),
            models.Index(
                fields=["expires_at"], condition=Q(status="open"), name="approvals_gate_ends"
            ),
            models.Index(
                fields=["clears_at"], condition=Q(status="open"), name="approvals_gate_clears"
            ),
            models.Index(
                fields=["tenant", "-closed_at"],
                condition=~Q(status="open"),
                name="approvals_gate_closed",
            ),
            models.Index(
                fields=["tenant", "payee", "-closed_at"],
                condition=~Q(status="open"),
                name="approvals_gate_payee",
            ),
        ]

    @property
    def consent(self) -> dict[str, Any]:
        """What people are asked for; empty where the policy allows it without them."""
        return dict(self.needs.get("consent") or {})

    @property
    def thresholds(self) -> list[dict[str, Any]]:
        return list(self.consent.get("thresholds", ()))

    @property
    def group(self) -> str:
        """Who is asked, in words: the groups and roles of its thresholds."""
        names = [one["group"] or f"role {one['role']}" for one in self.thresholds]
        word = " or " if self.consent.get("mode") == "any" else " and "
        return word.join(dict.fromkeys(names)) or "nobody"


class Viewing(models.Model):
    """That a person who may decide has had a gate before them, since when. Append-only."""

    tenant = models.CharField(max_length=63)
    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="viewings")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gate", "person"], name="approvals_viewing_once")
        ]
