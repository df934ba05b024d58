"""Scopes: which tool may use which secret. No row, no credential."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser

from credentials.errors import InvalidScope
from credentials.models import Scope, Secret
from runs.models import Declaration


def grant_scope(*, tenant: str, tool: str, secret: Secret, person: AbstractBaseUser) -> Scope:
    """Let `tool` use `secret`; granting twice is granting once. Raises InvalidScope."""
    if secret.tenant != tenant:
        raise InvalidScope("That secret belongs to another tenant.")
    # A scope for a name that nobody has yet would wait for whoever takes the name.
    if not Declaration.objects.filter(tool=tool, is_current=True).exists():
        raise InvalidScope(f"No tool called {tool!r} is registered.")
    scope, _ = Scope.objects.get_or_create(
        tenant=tenant, tool=tool, secret=secret, defaults={"granted_by_id": person.pk}
    )
    return scope


def revoke_scope(scope: Scope) -> None:
    """Take the leave back. A lease that already began ends with its step, none begins after."""
    Scope.objects.filter(id=scope.id, tenant=scope.tenant).delete()
