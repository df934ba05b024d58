"""The registry of keys: what people asked to enrol, what was enrolled, what was revoked."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models import new_id


class KeyKind(models.TextChoices):
    PASSKEY = "passkey", "Passkey"
    FILE = "file", "Key file"


class KeyRequest(models.Model):
    """What web took from a signed-in person who wants a key of theirs to count. Sealed.

    Nothing of it is changed later but the gatekeeper's answer, if that is no.
    """

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=KeyKind)
    name = models.CharField(max_length=60)
    challenge = models.BinaryField(help_text="what a passkey was asked; empty for a file")
    client_data = models.BinaryField(help_text="what the browser said; empty for a file")
    attestation = models.BinaryField(help_text="what the authenticator said; empty for a file")
    public_key = models.BinaryField(help_text="of a file, 32 bytes; empty for a passkey")
    introduced_by = models.ForeignKey(
        "approvals.Key", null=True, on_delete=models.PROTECT, related_name="introductions"
    )
    introduction_client_data = models.BinaryField(default=b"")
    introduction_authenticator_data = models.BinaryField(default=b"")
    introduction_signature = models.BinaryField(default=b"")
    seal = models.BinaryField(help_text="HMAC of the signed-in request; see keys.seal_request")
    asked_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")
    refused_because = models.CharField(max_length=255, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["passkey", "file"]), name="approvals_keyrequest_kind"
            ),
        ]


class Key(models.Model):
    """A key that signs in a person's name. Written by the gatekeeper, once it verified."""

    id = models.UUIDField(primary_key=True, default=new_id)
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=KeyKind)
    name = models.CharField(max_length=60)
    credential_id = models.BinaryField(unique=True)
    public_key = models.BinaryField(help_text="COSE key of a passkey, 32 raw bytes of a file")
    rp_id = models.CharField(max_length=255, default="")
    origin = models.CharField(max_length=255, default="")
    request = models.OneToOneField(KeyRequest, on_delete=models.PROTECT, related_name="key")
    is_introduced = models.BooleanField(
        help_text="the person's first key, or one that an older key signed for"
    )
    enrolled_at = models.DateTimeField(db_default=Now())
    seasoned_at = models.DateTimeField(db_default=Now())
    vouched_at = models.DateTimeField(null=True)
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["passkey", "file"]), name="approvals_key_kind"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "person"], name="approvals_key_person")]


class KeyRevocation(models.Model):
    """The end of a key: it signs nothing from then on. Sealed, append-only."""

    key = models.OneToOneField(
        Key, primary_key=True, on_delete=models.PROTECT, related_name="revocation"
    )
    tenant = models.CharField(max_length=63)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="who revoked it: whose key it is, or an admin",
    )
    reason = models.CharField(max_length=1000, default="")
    seal = models.BinaryField(
        help_text="HMAC of the signed-in revocation; see keys.seal_revocation"
    )
    revoked_at = models.DateTimeField(db_default=Now())
    writer = models.CharField(max_length=63, default="", help_text="database role, by the database")
