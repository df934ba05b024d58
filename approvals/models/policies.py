"""Who decides about what: groups of reviewers, and the policy of a tenant."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs import canonical
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
    """One published version of a tenant's policy: ordered rules, of which the first decides.

    A version is never edited: the next one takes its place, and gates keep the one that opened
    them. No rule, no clearance.
    """

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    number = models.PositiveIntegerField(help_text="counted from 1 in each tenant")
    document = models.BinaryField(help_text="RFC 8785 bytes of the rules in their normal form")
    digest = models.BinaryField(help_text="SHA-256 over the domain tag and the document")
    tools = ArrayField(
        models.CharField(max_length=128),
        db_default=models.Value([], output_field=ArrayField(models.CharField(max_length=128))),
        help_text="the tools that a rule names, by the database: their steps are held",
    )
    published_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="approvals_policy_number"),
            models.UniqueConstraint(
                fields=["tenant"],
                condition=Q(retired_at__isnull=True),
                name="approvals_policy_in_force",
            ),
        ]

    @property
    def body(self) -> dict[str, Any]:
        """The document: see `approvals.rules.document` for its shape."""
        decoded: dict[str, Any] = canonical.decode(bytes(self.document))
        return decoded
