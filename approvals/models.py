"""The rows of consent: policies, gates, decisions, clearances.

`Decision`, `Clearance` and `ClearanceUse` are append-only; what may be written at all
is checked once more by triggers in the database (see `migrations/0002_locks.py`).
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models import Run, Step, new_id


class Reviewer(models.Model):
    """Membership of a person in a group of reviewers. No running process may write it."""

    tenant = models.CharField(max_length=63)
    group = models.CharField(max_length=63)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "group", "person"], name="approvals_reviewer_once"
            )
        ]


class Policy(models.Model):
    """A rule: payments by this tool, in this currency and band, need these people.

    Rules are tried by `position`; the first that matches decides. No rule, no clearance.
    A rule is never edited: it is retired and another is published.
    """

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    position = models.PositiveIntegerField(help_text="tried in rising order")
    name = models.CharField(max_length=128)
    tool = models.CharField(max_length=128)
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    above_minor = models.BigIntegerField(default=0, help_text="matches amounts over this ...")
    up_to_minor = models.BigIntegerField(help_text="... and up to and including this")
    group = models.CharField(max_length=63)
    quorum = models.PositiveSmallIntegerField()
    expires_after_seconds = models.PositiveIntegerField()
    published_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "position"],
                condition=Q(retired_at__isnull=True),
                name="approvals_policy_position",
            ),
            models.CheckConstraint(condition=Q(quorum__gte=1), name="approvals_policy_quorum"),
            models.CheckConstraint(
                condition=Q(above_minor__gte=0) & Q(up_to_minor__gt=models.F("above_minor")),
                name="approvals_policy_band",
            ),
            models.CheckConstraint(
                condition=Q(expires_after_seconds__gte=1), name="approvals_policy_expiry"
            ),
        ]


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


class Decision(models.Model):
    """One person's verdict over one digest. Append-only; one a person and gate."""

    class Verdict(models.TextChoices):
        APPROVE = "approve", "Approve"
        DENY = "deny", "Deny"

    class Method(models.TextChoices):
        CONFIRM = "confirm", "Confirmed"
        PASSKEY = "passkey", "Passkey"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=16, choices=Verdict)
    reason = models.CharField(max_length=1000, default="")
    digest = models.BinaryField()
    method = models.CharField(max_length=16, choices=Method, default=Method.CONFIRM)
    seal = models.BinaryField(help_text="HMAC of the signed-in confirmation; see decisions.seal")
    signature = models.BinaryField(null=True, help_text="the passkey's, where the tier asks one")
    decided_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "gate", "person"], name="approvals_decision_one_vote"
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=["approve", "deny"]), name="approvals_decision_verdict"
            ),
        ]


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


class SealKey(models.Model):
    """The key of decision seals; readable by the owner's functions, never by a process."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    key = models.BinaryField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="approvals_sealkey_one")]
