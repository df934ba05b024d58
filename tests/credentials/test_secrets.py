"""Writing secrets and granting scopes, as the web process, on real servers."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from credentials import vault
from credentials.errors import InvalidScope, InvalidSecret, NoVaultIdentity, StaleWrite
from credentials.models import Scope, Secret
from credentials.scopes import grant_scope, revoke_scope
from credentials.secrets import field_names, write_secret
from tests.credentials.room import CANARY, acting_as
from tests.harness import World


def write(room: World, value: str, **changed: object) -> Secret:
    given: dict[str, object] = {
        "tenant": room.tenant,
        "path": "bank/payments",
        "fields": {"api_key": value},
        "description": "The key of the bank",
        "person": room.erin,
    }
    return write_secret(**(given | changed))  # type: ignore[arg-type]


def test_a_written_secret_shows_names_versions_and_who_wrote_it(
    room: World, secret: Secret
) -> None:
    assert (secret.version, secret.path) == (1, "bank/payments")
    assert (secret.written_by, secret.description) == (room.erin, "The key of the bank")
    assert secret.written_at is not None
    with acting_as(room.servers, "web"):
        assert field_names(secret) == ["api_key"]


def test_writing_again_makes_a_new_version_of_the_same_secret(room: World, secret: Secret) -> None:
    with acting_as(room.servers, "web"):
        again = write(room, "a-newer-value", description="Rotated", expected_version=1)
    assert (again.id, again.version, again.description) == (secret.id, 2, "Rotated")


def test_a_write_over_what_the_person_did_not_see_is_refused(room: World, secret: Secret) -> None:
    with acting_as(room.servers, "web"):
        write(room, "a-newer-value")
        with pytest.raises(StaleWrite) as stale:
            write(room, CANARY, expected_version=1)
        with pytest.raises(StaleWrite):
            write(room, CANARY, expected_version=0)
        secret.refresh_from_db()
    assert str(stale.value) == (
        "Somebody wrote version 2 of bank/payments in the meantime; "
        "you were looking at version 1. Nothing was changed."
    )
    assert secret.version == 2


def test_a_version_that_the_row_missed_is_made_good_by_the_next_write(
    room: World, secret: Secret
) -> None:
    with acting_as(room.servers, "web"):
        # As after a crash between the vault's write and the row's.
        place = f"{room.tenant}/bank/payments"
        vault.writer().write(place, {"api_key": "a-newer-value"}, expected_version=1)
        again = write(room, "the-newest-value")
    assert (again.id, again.version) == (secret.id, 3)


def test_after_a_crash_a_refused_write_shows_the_person_the_version_that_there_is(
    room: World,
) -> None:
    with acting_as(room.servers, "web"):
        place = f"{room.tenant}/bank/payments"
        vault.writer().write(place, {"api_key": "a-newer-value"}, expected_version=0)
        with pytest.raises(StaleWrite, match="Somebody wrote version 1 of bank/payments"):
            write(room, CANARY, expected_version=0)
        lost = Secret.objects.get()
        assert (lost.version, lost.written_by, lost.description) == (1, None, "")
        assert write(room, CANARY, expected_version=lost.version).version == 2


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"path": "../other/bank"}, "is not a path of a secret"),
        ({"tenant": "main/other"}, "cannot be the tenant of a secret"),
        ({"fields": {}}, "A secret needs at least one field"),
        ({"fields": {"pin": "1234"}}, "has fewer than 8 characters"),
        ({"description": "x" * 256}, "A description may have 255 characters; this one has 256"),
        ({"description": f"it is {CANARY}"}, "The description shows the value itself"),
    ],
)
def test_what_cannot_be_stored_leaves_neither_row_nor_version(
    room: World, changed: dict[str, object], sentence: str
) -> None:
    with acting_as(room.servers, "web"):
        with pytest.raises(InvalidSecret, match=sentence) as refused:
            write(room, CANARY, **changed)
        assert not Secret.objects.exists()
        assert vault.writer().newest_version(f"{room.tenant}/bank/payments") == 0
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("process", ["worker", "gatekeeper"])
def test_a_process_without_identity_cannot_write(room: World, process: str) -> None:
    with acting_as(room.servers, process):
        with pytest.raises(NoVaultIdentity, match="This process has no identity in the vault"):
            write(room, CANARY)


def test_granting_twice_is_granting_once_and_revoking_ends_it(room: World, secret: Secret) -> None:
    with acting_as(room.servers, "web"):
        first = Scope.objects.get(tool="wire_out")
        again = grant_scope(tenant=room.tenant, tool="wire_out", secret=secret, person=room.alice)
        assert (again, again.granted_by) == (first, room.erin)
        revoke_scope(again)
        assert not Scope.objects.filter(tool="wire_out").exists()


def test_no_scope_for_a_tool_that_nobody_declared_or_a_secret_of_others(
    room: World, secret: Secret
) -> None:
    with acting_as(room.servers, "web"):
        with pytest.raises(InvalidScope, match="No tool called 'wyre' is registered"):
            grant_scope(tenant=room.tenant, tool="wyre", secret=secret, person=room.erin)
        with pytest.raises(InvalidScope, match="That secret belongs to another tenant"):
            grant_scope(tenant="other", tool="wire_out", secret=secret, person=room.erin)


def test_the_database_refuses_a_path_that_is_none(room: World) -> None:
    for path in ("../x", "a//b", "a\n", "a b", ""):
        with acting_as(room.servers, "web"):
            with pytest.raises(DatabaseError, match="credentials_secret_plain_path"):
                Secret.objects.create(tenant=room.tenant, path=path)
