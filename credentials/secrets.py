"""The verbs about secrets: a value goes in, and only names and versions come out.

The vault is written first and the row after it. A crash between the two leaves a version
that the row does not yet know; the next write, accepted or refused as stale, brings the row
up to the vault's own count. No database transaction is open while the vault is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from credentials import redaction, vault
from credentials.errors import InvalidSecret, StaleWrite
from credentials.fields import check_fields
from credentials.models import Secret
from credentials.paths import vault_path
from credentials.scopes import grant_scope, revoke_scope

MAX_DESCRIPTION_CHARACTERS = 255


def write_secret(
    *,
    tenant: str,
    path: str,
    fields: Mapping[str, str],
    description: str,
    person: AbstractBaseUser,
    expected_version: int | None = None,
) -> Secret:
    """Write a new version of a secret; all fields at once, those not named are gone.

    `expected_version` is the version that the person saw (0: none); without it, the newest
    one is built upon. Raises InvalidSecret, StaleWrite if somebody was faster, and the other
    errors of the vault.
    """
    place = vault_path(tenant, path)
    check_fields(path, fields)
    _check_description(description, fields)
    session = vault.writer()
    redaction.guard_handlers()
    with redaction.holding(path, fields):
        newest = session.newest_version(place)
        if expected_version not in (None, newest):
            _recorded(tenant, path, newest)
            raise StaleWrite(
                f"Somebody wrote version {newest} of {path} in the meantime; "
                f"you were looking at version {expected_version}. Nothing was changed."
            )
        version = session.write(place, fields, expected_version=newest)
    written = {"description": description, "written_at": Now(), "written_by_id": person.pk}
    return _recorded(tenant, path, version, **written)


def field_names(secret: Secret) -> list[str]:
    """The names of the fields of the newest version, as the vault knows them."""
    return vault.writer().field_names(vault_path(secret.tenant, secret.path))


def _check_description(description: str, fields: Mapping[str, str]) -> None:
    if len(description) > MAX_DESCRIPTION_CHARACTERS:
        raise InvalidSecret(
            f"A description may have {MAX_DESCRIPTION_CHARACTERS} characters; "
            f"this one has {len(description)}."
        )
    if any(value.strip() in description for value in fields.values()):
        raise InvalidSecret("The description shows the value itself.")


def _recorded(tenant: str, path: str, version: int, **written: Any) -> Secret:
    with transaction.atomic():
        secret, _ = Secret.objects.get_or_create(tenant=tenant, path=path)
        # Of two writers the one with the newer version has the last word, in either order.
        Secret.objects.filter(id=secret.id, version__lt=version).update(version=version, **written)
    secret.refresh_from_db()
    return secret


__all__ = ["field_names", "grant_scope", "revoke_scope", "write_secret"]
