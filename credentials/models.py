"""The rows of the credentials room: names and scopes. Values live in the vault alone."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from credentials.paths import SECRET_PATH
from runs.models import new_id


class Secret(models.Model):
    """A secret by its path; what the vault says about it, never the value."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    path = models.CharField(max_length=128, help_text="e.g. bank/payments")
    version = models.PositiveIntegerField(default=0, help_text="the vault's newest version")
    description = models.CharField(max_length=255, default="")
    created_at = models.DateTimeField(db_default=Now())
    written_at = models.DateTimeField(null=True)
    written_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "path"], name="credentials_secret_path"),
            # The path becomes part of a vault address: what is no plain path is no secret.
            models.CheckConstraint(
                condition=Q(path__regex=SECRET_PATH), name="credentials_secret_plain_path"
            ),
        ]


class Scope(models.Model):
    """Leave for one tool to use one secret."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    tool = models.CharField(max_length=128)
    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="scopes")
    granted_at = models.DateTimeField(db_default=Now())
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "tool", "secret"], name="credentials_scope_once"
            )
        ]


class Lease(models.Model):
    """One use of a secret by an executor under one claim of a step. Append-only."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="leases")
    version = models.PositiveIntegerField()
    step = models.ForeignKey("runs.Step", on_delete=models.PROTECT, related_name="leases")
    attempt = models.PositiveIntegerField()
    fence = models.BigIntegerField(help_text="of the step claim under which it was used")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "step", "fence"], name="credentials_lease_once_a_claim"
            )
        ]
