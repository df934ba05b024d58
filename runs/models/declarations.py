"""What authors declared, as the owner registered it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


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
    deadline_seconds = models.PositiveIntegerField(
        null=True, help_text="how long its runs may take, from start to end"
    )
    agent = models.CharField(
        max_length=128, default="", help_text="on whose part its runs act; empty: nobody said"
    )
    is_current = models.BooleanField(default=True)
