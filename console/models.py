"""People, their API tokens, and the audit of what people did."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Now

from runs.models import new_id

DEFAULT_TENANT = "main"


class User(AbstractUser):
    """A person, in one tenant. What they may do follows from their groups (the roles)."""

    tenant = models.CharField(max_length=63, default=DEFAULT_TENANT)


class ApiToken(models.Model):
    """A bearer token of a person; only its hash is kept."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=128, default="")
    hash = models.BinaryField(unique=True, help_text="SHA-256 of the token")
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)


class IdempotentRequest(models.Model):
    """The answer to a POST that carried an `Idempotency-Key`, to be given again."""

    pk = models.CompositePrimaryKey("tenant", "person", "key")
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    request_hash = models.BinaryField()
    status = models.PositiveSmallIntegerField(null=True)
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now())


class AuditEntry(models.Model):
    """Who did what, from where. Append-only, in the transaction of the deed."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=150, help_text="username, or what was tried")
    action = models.CharField(max_length=63, help_text="e.g. signed_in, decided, secret_written")
    subject = models.CharField(max_length=255, default="", help_text="in words")
    subject_id = models.CharField(max_length=64, default="")
    detail = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["tenant", "-at", "-id"], name="console_audit_newest")]
