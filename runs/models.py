"""The rows of the engine. Written only by the verbs of this room (see `transitions`).

Everything that belongs to somebody carries its tenant, and every unique key that a
person could meet begins with it. Arguments, inputs and results are kept as the exact
RFC 8785 bytes that were digested: `jsonb` would reorder and reformat them.
"""

from __future__ import annotations

from typing import Any

import uuid_utils.compat
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


def new_id() -> Any:
    """A time-ordered UUID (version 7), so that primary keys grow at their right edge."""
    return uuid_utils.compat.uuid7()


class Declaration(models.Model):
    """A tool as its author declared it, registered by the owner's role at `migrate`.

    The key is the digest of the declaration's canonical bytes. Steps with effects or
    secrets point here, so that the database knows which tools move money without
    trusting the process that runs agent code, and the gatekeeper can read the shape
    of a tool without importing it.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    tool = models.CharField(max_length=128)
    is_money = models.BooleanField()
    body = models.JSONField(help_text="name, effect, money, secret, schema, version")
    is_current = models.BooleanField(default=True)
    registered_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["digest", "is_money"], name="runs_declaration_money"),
        ]


class WorkflowDeclaration(models.Model):
    """A workflow as registered at `migrate`, so that `web` can check an input against its
    schema without importing the code of agents."""

    name = models.CharField(primary_key=True, max_length=128)
    version = models.PositiveIntegerField()
    schema = models.JSONField(help_text="JSON Schema of the input")
    summary = models.CharField(max_length=255, default="")
    is_current = models.BooleanField(default=True)


class Run(models.Model):
    """One execution of a workflow."""

    class Status(models.TextChoices):
        READY = "ready", "Ready"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting"
        PAUSED = "paused", "Paused"
        QUARANTINED = "quarantined", "Quarantined"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    workflow = models.CharField(max_length=128)
    version = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=Status, default=Status.READY)
    input = models.BinaryField()
    result = models.BinaryField(null=True)
    error = models.JSONField(null=True, help_text="{kind, message} of what ended the run")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    idempotency_key = models.CharField(max_length=255, null=True)
    seed = models.BinaryField(help_text="what run.random() and run.uuid4() are drawn from")
    waiting_for = models.CharField(max_length=255, default="", help_text="in words")
    waiting_since = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(null=True)
    progress_done = models.PositiveIntegerField(default=0)
    progress_total = models.PositiveIntegerField(default=0)
    progress_note = models.CharField(max_length=255, default="")
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by = models.CharField(max_length=150, default="")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "idempotency_key"], name="runs_run_started_once"
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "ready",
                        "running",
                        "waiting",
                        "paused",
                        "quarantined",
                        "succeeded",
                        "failed",
                        "cancelled",
                    ]
                ),
                name="runs_run_status",
            ),
            models.CheckConstraint(
                condition=~Q(status="waiting") | ~Q(waiting_for=""),
                name="runs_run_waits_in_words",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="runs_run_newest"),
            models.Index(fields=["id"], condition=Q(status="ready"), name="runs_run_ready"),
            models.Index(
                fields=["tenant", "-created_at"],
                condition=Q(status__in=["failed", "paused", "quarantined"]),
                name="runs_run_stuck",
            ),
            models.Index(fields=["id"], condition=Q(status="running"), name="runs_run_running"),
            models.Index(
                fields=["wake_at"],
                condition=Q(status="waiting", wake_at__isnull=False),
                name="runs_run_wake",
            ),
            models.Index(
                fields=["id"],
                condition=Q(cancel_requested_at__isnull=False, finished_at__isnull=True),
                name="runs_run_cancelling",
            ),
        ]


class Claim(models.Model):
    """The row that serialises all writing to one run: its fence, its holder, its last event.

    Narrow and apart from `Run`, so that heartbeats never rewrite the wide row.
    """

    run = models.OneToOneField(Run, primary_key=True, on_delete=models.PROTECT)
    tenant = models.CharField(max_length=63)
    fence = models.BigIntegerField(default=0)
    holder = models.CharField(max_length=128, default="")
    expires_at = models.DateTimeField(null=True)
    last_seq = models.BigIntegerField(default=0)
    head = models.BinaryField(null=True, help_text="the hash of the last event, once chained")


class Step(models.Model):
    """One durable unit of a run, at a position in the order its workflow declared them."""

    class Kind(models.TextChoices):
        TOOL = "tool", "Tool"
        SLEEP = "sleep", "Sleep"
        NOW = "now", "Now"

    class Status(models.TextChoices):
        HELD = "held", "Held"
        READY = "ready", "Ready"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        DENIED = "denied", "Denied"
        CANCELLED = "cancelled", "Cancelled"
        IN_DOUBT = "in_doubt", "In doubt"

    ENDED = (Status.SUCCEEDED, Status.FAILED, Status.DENIED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="steps")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.TOOL)
    name = models.CharField(max_length=128)
    effect = models.CharField(max_length=16, default="safe")
    is_money = models.BooleanField(default=False)
    is_remote = models.BooleanField(default=False, help_text="runs in the executor")
    declaration = models.ForeignKey(
        Declaration, on_delete=models.PROTECT, null=True, db_index=False, related_name="+"
    )
    status = models.CharField(max_length=16, choices=Status)
    arguments = models.BinaryField(help_text="RFC 8785 bytes")
    digest = models.BinaryField(help_text="SHA-256 over the domain tag and the arguments")
    key = models.CharField(max_length=64, help_text="idempotency key; the same for all attempts")
    clearance_id = models.UUIDField(null=True)
    attempt = models.PositiveIntegerField(default=0, help_text="tries, whatever became of them")
    failures = models.PositiveIntegerField(default=0, help_text="tries that ended in an error")
    not_before = models.DateTimeField(null=True, help_text="when the next attempt is due")
    result = models.BinaryField(null=True)
    error = models.JSONField(null=True, help_text="{kind, message} of the last failure")
    held_because = models.CharField(max_length=255, default="", help_text="in words")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "run", "position"], name="runs_step_position"
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "held",
                        "ready",
                        "running",
                        "waiting",
                        "succeeded",
                        "failed",
                        "denied",
                        "cancelled",
                        "in_doubt",
                    ]
                ),
                name="runs_step_status",
            ),
            # Lock 1: without a clearance a money step is held, or has ended unpaid.
            models.CheckConstraint(
                condition=Q(is_money=False)
                | Q(clearance_id__isnull=False)
                | Q(status__in=["held", "denied", "cancelled"]),
                name="runs_step_money_needs_clearance",
            ),
            models.CheckConstraint(
                condition=Q(is_remote=False, is_money=False, effect="safe")
                | Q(declaration__isnull=False, is_remote=True),
                name="runs_step_effect_is_declared",
            ),
        ]
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=Q(status="ready", is_remote=True),
                name="runs_step_due",
            ),
            models.Index(
                fields=["id"], condition=Q(status="held", is_money=True), name="runs_step_held"
            ),
            models.Index(fields=["id"], condition=Q(status="in_doubt"), name="runs_step_in_doubt"),
            models.Index(
                fields=["id"],
                condition=Q(status="held", held_because=""),
                name="runs_step_unseen",
            ),
            models.Index(
                fields=["id"],
                condition=Q(status="running", is_remote=True),
                name="runs_step_running",
            ),
        ]


class StepClaim(models.Model):
    """An executor's claim on one step; apart from `Step` for the same reason as `Claim`."""

    step = models.OneToOneField(Step, primary_key=True, on_delete=models.PROTECT)
    tenant = models.CharField(max_length=63)
    fence = models.BigIntegerField(default=0)
    holder = models.CharField(max_length=128, default="")
    expires_at = models.DateTimeField(null=True)


class Effect(models.Model):
    """The idempotency table: what is intended, committed before it is attempted."""

    class Status(models.TextChoices):
        INTENDED = "intended", "Intended"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        IN_DOUBT = "in_doubt", "In doubt"

    pk = models.CompositePrimaryKey("tenant", "tool", "key")
    tenant = models.CharField(max_length=63)
    tool = models.CharField(max_length=128)
    key = models.CharField(max_length=64)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="+")
    digest = models.BinaryField()
    status = models.CharField(max_length=16, choices=Status, default=Status.INTENDED)
    intended_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)


class Settlement(models.Model):
    """What a person says became of an attempt whose outcome is in doubt. Append-only."""

    class Answer(models.TextChoices):
        HAPPENED = "happened", "It happened"
        DID_NOT_HAPPEN = "did_not_happen", "It did not happen"
        GIVE_UP = "give_up", "Give up"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="settlements")
    attempt = models.PositiveIntegerField()
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=16, choices=Answer)
    result = models.BinaryField(null=True, help_text="RFC 8785 bytes, where it happened")
    reason = models.CharField(max_length=1000)
    seal = models.BinaryField(default=b"", help_text="proof that a signed-in person said it")
    at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "step", "attempt", "person"], name="runs_settlement_one_voice"
            ),
            models.CheckConstraint(
                condition=Q(answer__in=["happened", "did_not_happen", "give_up"]),
                name="runs_settlement_answer",
            ),
            models.CheckConstraint(
                condition=Q(answer="happened", result__isnull=False)
                | (~Q(answer="happened") & Q(result__isnull=True)),
                name="runs_settlement_result",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="runs_settlement_reason"),
        ]


class Event(models.Model):
    """One row of a run's journal. Append-only: no role may update or delete it."""

    pk = models.CompositePrimaryKey("tenant", "run", "seq")
    tenant = models.CharField(max_length=63)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="events", db_index=False)
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=32, help_text="e.g. run.started, step.held")
    position = models.PositiveIntegerField(null=True)
    actor = models.CharField(max_length=150, default="", help_text="person or process")
    body = models.BinaryField(help_text="RFC 8785 bytes")
    at = models.DateTimeField(db_default=Now())
    trace_id = models.CharField(max_length=32, default="")
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")
    prev_hash = models.BinaryField(null=True)
    hash = models.BinaryField(null=True)

    class Meta:
        indexes = [models.Index(fields=["run", "seq"], name="runs_event_run")]


__all__ = [
    "Claim",
    "Declaration",
    "Effect",
    "Event",
    "Run",
    "Settlement",
    "Step",
    "StepClaim",
    "WorkflowDeclaration",
    "new_id",
]
