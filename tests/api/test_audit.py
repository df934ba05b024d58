"""The audit of sign-ins, and that nobody rewrites it."""

from __future__ import annotations

import pytest
from django.db import ProgrammingError, connection
from django.db.utils import InternalError
from django.test import Client

from console.access import Forbidden, find_audit
from console.models import AuditEntry
from tests.api import callers
from tests.harness import PASSWORD, World, as_role


def sign_in(username: str, password: str, **headers: str) -> Client:
    client = Client(SERVER_NAME="localhost", REMOTE_ADDR="192.0.2.7", headers=headers)
    with as_role("placet_web"):
        client.post("/accounts/login/", {"login": username, "password": password})
    return client


def test_signing_in_and_out_is_written_with_the_address(world: World) -> None:
    client = sign_in("bob", PASSWORD, **{"X-Forwarded-For": "203.0.113.9"})
    with as_role("placet_web"):
        client.post("/accounts/logout/")
    entries = AuditEntry.objects.order_by("at")
    assert [entry.action for entry in entries] == ["signed_in", "signed_out"]
    for entry in entries:
        assert (entry.actor, entry.tenant, entry.address, entry.writer) == (
            "bob", world.tenant, "192.0.2.7", "placet_web",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("tried", "written"),
    [
        ("bob", "bob"),
        ("correct-horse-typed-as-a-name", "unknown name"),
        ("x" * 300, "unknown name"),
        ("a\u202eb", "unknown name"),
        ("", "unknown name"),
    ],
)
def test_a_failed_sign_in_is_written_by_the_name_of_a_person_and_by_nothing_else_typed(
    world: World, tried: str, written: str
) -> None:
    # As `manage.py decide` and the page do: whoever asks Django, the same receiver hears it.
    from django.contrib.auth import authenticate

    with as_role("placet_web"):
        assert authenticate(username=tried, password="swordfish") is None
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor) == ("sign_in_failed", written)
    assert entry.tenant == (world.tenant if tried == "bob" else "main")
    kept = str(AuditEntry.objects.values())
    assert "swordfish" not in kept and (tried == "bob" or not tried or tried not in kept)


def test_a_failed_sign_in_at_the_page_is_written_too(world: World) -> None:
    sign_in("bob", "swordfish")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.address) == ("sign_in_failed", "bob", "192.0.2.7")


@pytest.mark.parametrize("role", ["placet_web", "placet_owner", "placet_auditor"])
@pytest.mark.parametrize(
    "sql", ["UPDATE console_auditentry SET actor = 'carol'", "DELETE FROM console_auditentry"]
)
def test_nobody_rewrites_the_audit(world: World, role: str, sql: str) -> None:
    sign_in("bob", PASSWORD)
    with as_role(role), pytest.raises((ProgrammingError, InternalError)):
        connection.cursor().execute(sql)
    assert AuditEntry.objects.get().actor == "bob"


def test_the_web_process_cannot_sign_an_entry_with_another_role(world: World) -> None:
    with as_role("placet_web"), pytest.raises(ProgrammingError, match="permission denied"):
        AuditEntry.objects.create(tenant=world.tenant, actor="bob", writer="placet_owner")
    assert not AuditEntry.objects.exists()


def test_the_audit_is_shown_to_its_readers_and_of_their_tenant(world: World) -> None:
    sign_in("bob", PASSWORD)
    elsewhere = callers.make_person("edith", "auditor", tenant="elsewhere")
    assert [entry.actor for entry in find_audit(world.dave).items] == ["bob"]
    assert find_audit(world.dave, action="decided").items == []
    assert find_audit(elsewhere).items == []
    with pytest.raises(Forbidden):
        find_audit(world.bob)
