"""A step, the attempts at it, and what people and the outside say became of them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models.declarations import Declaration
from runs.models.ids import new_id
from runs.models.runs import Run


class Step(models.Model):
    """One durable unit of a run, at a position in the order its workflow declared them."""

    class Kind(models.TextChoices):
        TOOL = "tool", "Tool"
        SLEEP = "sleep", "Sleep"
        NOW = "now", "Now"
        SIGNAL = "signal", "Signal"
        SEND = "send", "Send"
        ASK = "ask", "Question"
        CHILD = "child", "Child run"
        CHOICE = "choice", "Choice"
        PATCH = "patch", "Patch"

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
        PAUSED = "paused", "Paused"

    ENDED = (Status.SUCCEEDED, Status.FAILED, Status.DENIED, Status.CANCELLED)

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="steps", db_index=False)
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.TOOL)
    name = models.CharField(max_length=128)
    effect = models.CharField(max_length=16, default="safe")
    is_money = models.BooleanField(default=False)
    is_remote = models.BooleanField(default=False, help_text="runs in the executor")
    needs_consent = models.BooleanField(
        db_default=False, help_text="held until people have consented; told by the database"
    )
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
    deaths = models.PositiveIntegerField(db_default=0, help_text="tries whose process was lost")
    unknowns = models.PositiveIntegerField(
        db_default=0, help_text="tries whose effect may have happened, since the last settlement"
    )
    give_up_at = models.DateTimeField(null=True, help_text="the end of all its attempts")
    copied_from = models.UUIDField(null=True, help_text="the step whose outcome a fork copied")
    not_before = models.DateTimeField(null=True, help_text="when the next attempt is due")
    result = models.BinaryField(null=True)
    error = models.JSONField(null=True, help_text="{kind, message} of the last failure")
    held_because = models.CharField(max_length=255, default="", help_text="in words")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "position"], name="runs_step_position"),
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
                        "paused",
                    ]
                ),
                name="runs_step_status",
            ),
            # Lock 1: without a clearance such a step is held, or has ended with nothing done.
            models.CheckConstraint(
                condition=Q(needs_consent=False)
                | Q(clearance_id__isnull=False)
                | Q(status__in=["held", "denied", "cancelled"]),
                name="runs_step_needs_clearance",
            ),
            models.CheckConstraint(
                condition=Q(is_remote=False, is_money=False, needs_consent=False, effect="safe")
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
                fields=["id"], condition=Q(status="held", needs_consent=True), name="runs_step_held"
            ),
            models.Index(fields=["id"], condition=Q(status="in_doubt"), name="runs_step_in_doubt"),
            models.Index(fields=["id"], condition=Q(status="paused"), name="runs_step_paused"),
            models.Index(
                fields=["run", "position"],
                condition=Q(
                    status__in=["held", "ready", "running", "waiting", "in_doubt", "paused"]
                ),
                name="runs_step_unended",
            ),
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
            # What people are shown first, among all steps that there ever were.
            models.Index(
                fields=["id"],
                condition=Q(status="waiting", kind="ask"),
                name="runs_step_asking",
            ),
            models.Index(
                fields=["finished_at"], condition=Q(status="failed"), name="runs_step_failed"
            ),
        ]


class StepClaim(models.Model):
    """An executor's claim on one step; apart from `Step` for the same reason as `Claim`."""

    step = models.OneToOneField(Step, primary_key=True, on_delete=models.PROTECT)
    tenant = models.CharField(max_length=63)
    fence = models.BigIntegerField(default=0)
    holder = models.CharField(max_length=128, default="")
    expires_at = models.DateTimeField(null=True)
    details = models.BinaryField(null=True, help_text="of the last heartbeat; outlives an attempt")
    beat_at = models.DateTimeField(null=True)
    progress_done = models.PositiveIntegerField(db_default=0)
    progress_total = models.PositiveIntegerField(db_default=0)
    progress_note = models.CharField(max_length=255, db_default="")
    token_hash = models.BinaryField(null=True, help_text="SHA-256 of the token of a completion")


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
        RETRY = "retry", "Retry"
        RETRY_WITH = "retry_with", "Retry with other arguments"
        SKIP = "skip", "Skip with this result"
        UNDO = "undo", "Undo and end"
        GIVE_UP = "give_up", "Give up"

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="settlements")
    attempt = models.PositiveIntegerField()
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=16, choices=Answer)
    result = models.BinaryField(
        null=True, help_text="RFC 8785 bytes: the result, or the other arguments"
    )
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
                condition=Q(
                    answer__in=[
                        "happened",
                        "did_not_happen",
                        "retry",
                        "retry_with",
                        "skip",
                        "undo",
                        "give_up",
                    ]
                ),
                name="runs_settlement_answer",
            ),
            models.CheckConstraint(
                condition=Q(answer__in=["happened", "skip", "retry_with"], result__isnull=False)
                | (~Q(answer__in=["happened", "skip", "retry_with"]) & Q(result__isnull=True)),
                name="runs_settlement_result",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="runs_settlement_reason"),
        ]


class Completion(models.Model):
    """What the outside says became of an attempt that was left to it. Append-only."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="completions")
    attempt = models.PositiveIntegerField()
    result = models.BinaryField(null=True, help_text="RFC 8785 bytes, where it succeeded")
    error = models.JSONField(null=True, help_text="{kind, message}, where it failed")
    at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "step", "attempt"], name="runs_completion_once"
            ),
        ]
