"""What was told about a gate, to whom, and through which channels; what people said beside."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from approvals.models.gates import Gate
from runs.models import new_id


class Channel(models.Model):
    """A place outside that is told of gates: a webhook, or a service for messages.

    Its address and keys are a secret of the vault, at `notices/<id>`; none of it is here.
    """

    class Way(models.TextChoices):
        WEBHOOK = "webhook", "Signed webhook"
        MESSAGE = "message", "E-mail or chat"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    name = models.CharField(max_length=63)
    way = models.CharField(max_length=16, choices=Way)
    kinds = models.JSONField(help_text="the kinds of notices that go there")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    paused_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    tested_at = models.DateTimeField(null=True, help_text="when a test notice was last asked for")
    tested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                condition=Q(removed_at__isnull=True),
                name="approvals_channel_name",
            ),
            models.CheckConstraint(
                condition=Q(way__in=["webhook", "message"]), name="approvals_channel_way"
            ),
        ]


class Notice(models.Model):
    """That something about a gate is told, once. Append-only; its facts are those of the moment.

    `people` and `channels` are those whom it concerned when it was written. What became of each
    channel is in the run that delivers it, whose key is `notice:<id>`.
    """

    class Kind(models.TextChoices):
        OPENED = "opened", "Request opened"
        REMINDER = "reminder", "Reminder"
        ESCALATED = "escalated", "Escalated"
        DECIDED = "decided", "Decided"
        EXPIRED = "expired", "Expired"
        EXECUTED = "executed", "Executed"
        FAILED = "failed", "Failed"
        IN_DOUBT = "in_doubt", "In doubt"
        COMMENTED = "commented", "Commented"
        TEST = "test", "Test"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    gate = models.ForeignKey(Gate, null=True, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(max_length=16, choices=Kind)
    subject = models.CharField(max_length=63, default="", help_text="which one of its kind")
    happened_at = models.DateTimeField()
    facts = models.JSONField()
    people = models.JSONField(default=list)
    channels = models.JSONField(default=list)
    written_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "gate", "kind", "subject"],
                name="approvals_notice_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(gate__isnull=False) | Q(kind="test"), name="approvals_notice_gate"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-written_at", "-id"], name="approvals_notice_newest"),
        ]


class Comment(models.Model):
    """What a person says at a gate without deciding. Append-only, sealed like a decision."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="comments")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.CharField(max_length=1000)
    seal = models.BinaryField(help_text="HMAC of what a signed-in person said; see comments.seal")
    said_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        ordering = ["said_at", "id"]
        indexes = [
            models.Index(fields=["gate", "said_at", "id"], name="approvals_comment_of_gate"),
            models.Index(fields=["said_at"], name="approvals_comment_newest"),
        ]


class Mute(models.Model):
    """A kind of notice that a person does not want on their own list."""

    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=Notice.Kind)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "person", "kind"], name="approvals_mute_once")
        ]
