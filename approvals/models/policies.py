"""Who decides about what: groups of reviewers, and the rules."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models import new_id


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
