"""What people said, append-only, and the key of its seals."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from approvals.models.batches import Batch
from approvals.models.gates import Gate
from approvals.models.keys import Key
from runs.models import new_id


class Decision(models.Model):
    """One person's verdict over one digest. Append-only; one a person and gate."""

    class Verdict(models.TextChoices):
        APPROVE = "approve", "Approve"
        DENY = "deny", "Deny"
        CHANGES = "changes", "Request changes"

    class Method(models.TextChoices):
        CONFIRM = "confirm", "Confirmed"
        PASSKEY = "passkey", "Passkey"
        FILE = "file", "Key file"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="who had delegated their voice to this person",
    )
    verdict = models.CharField(max_length=16, choices=Verdict)
    reason = models.CharField(max_length=1000, default="")
    typed = models.CharField(
        max_length=128, db_default="", help_text="the fact that the tier had the person type"
    )
    batch = models.ForeignKey(
        Batch,
        on_delete=models.PROTECT,
        null=True,
        related_name="decisions",
        help_text="the list of requests that the person confirmed at once, if it was one",
    )
    digest = models.BinaryField()
    method = models.CharField(max_length=16, choices=Method, default=Method.CONFIRM)
    seal = models.BinaryField(help_text="HMAC of the signed-in confirmation; see decisions.seal")
    key = models.ForeignKey(Key, null=True, on_delete=models.PROTECT, related_name="decisions")
    client_data = models.BinaryField(null=True, help_text="what a passkey's browser said")
    authenticator_data = models.BinaryField(null=True, help_text="what a passkey said")
    signature = models.BinaryField(null=True, help_text="the key's, where the tier asks one")
    decided_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "gate", "person"], name="approvals_decision_one_vote"
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=["approve", "deny", "changes"]),
                name="approvals_decision_verdict",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "person", "-decided_at"], name="approvals_decision_of")
        ]


class Revocation(models.Model):
    """That a person takes their approval back, before the step was claimed. Append-only."""

    decision = models.OneToOneField(
        Decision, primary_key=True, on_delete=models.PROTECT, related_name="revocation"
    )
    tenant = models.CharField(max_length=63)
    reason = models.CharField(max_length=1000)
    seal = models.BinaryField(help_text="HMAC; see decisions.seal_revocation")
    revoked_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")


class SealKey(models.Model):
    """The key of decision seals; readable by the owner's functions, never by a process."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    key = models.BinaryField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="approvals_sealkey_one")]
