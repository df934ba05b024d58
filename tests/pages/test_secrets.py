"""Secrets and scopes: values go in, and never come out. The vault is a real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from console.models import AuditEntry
from credentials.models import Scope, Secret
from runs.models import Declaration
from tests.harness import World, as_role
from tests.pages.visitors import Page, Visitor, visit_as
from tests.servers import Servers

CANARY = "sk_live_canary_7Q2"


@pytest.fixture
def erin(world: World, servers: Servers) -> Iterator[Visitor]:
    """The administrator, at a web process with its own identity in the vault."""
    names = ("PLACET_VAULT_ADDR", "PLACET_VAULT_ROLE_ID", "PLACET_VAULT_SECRET_ID")
    before = {name: getattr(settings, name) for name in names}
    environment = servers.environment("web")
    for name in names:
        setattr(settings, name, environment[name])
    yield visit_as(world.erin)
    for name, value in before.items():
        setattr(settings, name, value)


def write(erin: Visitor, **form: Any) -> Any:
    given = {"path": "bank/pages", "name_0": "api_key", "value_0": CANARY}
    return erin.post("/secrets/write/", **(given | form))


def test_a_secret_is_written_and_never_shown(world: World, erin: Visitor) -> None:
    answer = write(erin, description="For the sample bank.")

    assert answer.headers["Location"] == "/secrets/"
    listed = erin.get("/secrets/")
    assert "bank/pages" in Page(listed).text
    assert CANARY not in listed.content.decode()
    entry = AuditEntry.objects.get(action="secret_written")
    assert entry.detail == {"version": Secret.objects.get().version, "fields": ["api_key"]}
    assert CANARY not in str(entry.detail)


def test_a_new_version_knows_the_names_of_the_fields_only(world: World, erin: Visitor) -> None:
    write(erin)

    page = Page(erin.get("/secrets/write/", path="bank/pages"))

    assert page.field("name_0").attributes["value"] == "api_key"
    assert "value" not in page.field("value_0").attributes
    assert page.field("value_0").attributes["type"] == "password"


def test_a_form_with_a_fault_keeps_all_but_the_values(world: World, erin: Visitor) -> None:
    answer = write(erin, path="Not A Path", description="Kept.")

    assert answer.status_code == 422
    page = Page(answer)
    assert page.field("path").attributes["value"] == "Not A Path"
    assert page.field("description").attributes["value"] == "Kept."
    assert CANARY not in answer.content.decode()
    assert "type them again" in page.text
    assert not Secret.objects.exists()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"value_0": ""}, "Type at least one field with its value."),
        ({"name_0": ""}, "Name this field."),
        ({"name_1": "api_key", "value_1": "other"}, "This field is named twice."),
    ],
)
def test_fields_are_checked_in_words(
    world: World, erin: Visitor, form: dict[str, str], said: str
) -> None:
    assert said in Page(write(erin, **form)).text


def test_who_saw_an_older_version_does_not_write_over_a_newer(world: World, erin: Visitor) -> None:
    write(erin)
    version = Secret.objects.get().version
    write(erin)

    answer = write(erin, expected_version=version)

    assert answer.status_code == 422
    assert "Nothing was changed." in Page(answer).text


def test_a_scope_is_granted_and_revoked_after_a_question(world: World, erin: Visitor) -> None:
    write(erin)
    with as_role("placet_owner"):
        Declaration.objects.update_or_create(
            digest="f" * 64,
            defaults={
                "tool": "fetch",
                "is_money": False,
                "body": {"secret": "bank/pages"},
                "is_current": True,
            },
        )
    assert "fetch needs bank/pages, but no scope" in Page(erin.get("/secrets/")).text

    erin.post("/secrets/scopes/grant/", path="bank/pages", tool="fetch")
    scope = Scope.objects.get()
    asked = erin.post("/secrets/scopes/revoke/", scope=scope.id)
    assert "Revoke fetch" in Page(asked).text
    assert Scope.objects.exists()

    erin.post("/secrets/scopes/revoke/", scope=scope.id, confirmed="yes")
    assert not Scope.objects.exists()
    entered = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(entered) == ["signed_in", "secret_written", "scope_granted", "scope_revoked"]


def test_a_scope_for_a_tool_that_nobody_declared_is_refused(world: World, erin: Visitor) -> None:
    write(erin)

    erin.post("/secrets/scopes/grant/", path="bank/pages", tool="none")

    assert "No tool called 'none' is registered." in Page(erin.get("/secrets/")).text
    assert not Scope.objects.exists()
