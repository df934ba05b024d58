"""What each database role may do to the rows of this room; all else is refused by name."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection

from credentials.broker import VaultProvider
from credentials.models import Lease, Secret
from credentials.rights import APPEND_ONLY, GRANTS
from runs.effects import ClaimedStep
from tests.credentials.room import acting_as
from tests.harness import World, as_role

TABLES = ("credentials_secret", "credentials_scope", "credentials_lease")
ROLES = ("placet_web", "placet_gatekeeper", "placet_worker", "placet_executor", "placet_auditor")
CHANGES = {
    "SELECT": "SELECT * FROM {table} LIMIT 1",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET id = id",
    "DELETE": "DELETE FROM {table} WHERE false",
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_role_may_do_what_is_granted_and_no_more(
    room: World, role: str, table: str, change: str
) -> None:
    granted = GRANTS.get(role, {}).get(table, [])
    statement = CHANGES[change].format(table=table)
    with as_role(role), connection.cursor() as cursor:
        if change in granted:
            refused = ""
            try:
                cursor.execute(statement)
            except DatabaseError as error:
                refused = str(error)
            assert "permission denied" not in refused
        else:
            with pytest.raises(DatabaseError, match=f"permission denied for table {table}"):
                cursor.execute(statement)


def test_the_web_may_not_rename_a_secret_or_give_it_to_another_tenant(
    room: World, secret: Secret
) -> None:
    for column in ("path", "tenant", "created_at", "id"):
        with as_role("placet_web"), connection.cursor() as cursor:
            with pytest.raises(DatabaseError, match="permission denied"):
                cursor.execute(f"UPDATE credentials_secret SET {column} = {column}")


@pytest.mark.parametrize("role", ["placet_owner", "placet_executor", "placet_web"])
@pytest.mark.parametrize("change", ["UPDATE", "DELETE", "TRUNCATE"])
def test_a_lease_cannot_be_changed_or_taken_back(
    room: World, claimed: ClaimedStep, role: str, change: str
) -> None:
    assert APPEND_ONLY == ["credentials_lease"]
    with acting_as(room.servers, "executor"), VaultProvider().lease(claimed):
        pass
    statement = {
        "UPDATE": "UPDATE credentials_lease SET version = 9",
        "DELETE": "DELETE FROM credentials_lease",
        "TRUNCATE": "TRUNCATE credentials_lease",
    }[change]
    with as_role(role), connection.cursor() as cursor:
        with pytest.raises(DatabaseError):
            cursor.execute(statement)
    assert Lease.objects.get().version == 1
