"""`manage.py seed_demo`: what a first visit finds, and what a second start leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from approvals.models import Policy, Reviewer
from approvals.policies import remove_rule
from console.models import DEFAULT_TENANT, AuditEntry, User
from console.roles import roles_of, set_roles
from credentials.models import Scope, Secret
from runs.canonical import decode
from runs.models import Run
from tests.harness import as_role, empty_the_database


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[None]:
    with as_role("placet_owner"), override_settings(PLACET_HOME=tmp_path):
        empty_the_database()
        yield


def rows() -> dict[str, Any]:
    return {
        "people": {p.username: (p.password, roles_of(p)) for p in User.objects.all()},
        "reviewers": set(Reviewer.objects.values_list("group", "person__username")),
        "policies": list(Policy.objects.order_by("number").values()),
        "secrets": list(Secret.objects.values_list("path", "version")),
        "scopes": sorted(Scope.objects.values_list("tool", flat=True)),
        "runs": list(Run.objects.values_list("pk", "workflow", "requested_by__username")),
        "audit": AuditEntry.objects.count(),
    }


@pytest.mark.usefixtures("empty", "as_web")
def test_the_first_start_makes_the_cast_the_rules_the_secret_and_a_run(tmp_path: Path) -> None:
    call_command("seed_demo")
    password = (tmp_path / "demo-password").read_text().strip()
    roles = {p.username: set(roles_of(p)) for p in User.objects.all()}
    assert roles == {
        "alice": {"operator"},
        "bob": {"reviewer", "operator"},
        "carol": {"reviewer", "operator"},
        "dave": {"auditor"},
        "erin": {"admin"},
        "frank": {"admin"},
    }
    assert all(p.check_password(password) for p in User.objects.all())
    assert set(Reviewer.objects.values_list("tenant", "group", "person__username")) == {
        (DEFAULT_TENANT, "payments", "bob"),
        (DEFAULT_TENANT, "payments", "carol"),
    }
    rules = Policy.objects.get(retired_at=None).body["rules"]
    bands = [
        (
            band["above_minor"],
            band["up_to_minor"],
            rule["then"]["consent"]["thresholds"][0]["count"],
        )
        for rule in rules
        for band in rule["when"]["amounts"]
        if band["currency"] == "EUR"
    ]
    assert bands == [
        (0, 1_000_000, 1),
        (1_000_000, 100_000_000, 2),
    ]
    assert [(s.path, s.version) for s in Secret.objects.all()] == [("bank/payments", 1)]
    assert sorted(Scope.objects.values_list("tool", flat=True)) == ["already_paid", "send_payment"]
    run = Run.objects.get()
    assert (run.workflow, run.requested_by.username) == ("pay_invoices", "alice")
    assert decode(run.input) == {"folder": "samples"}


@pytest.mark.usefixtures("empty", "as_web")
def test_a_second_start_changes_nothing() -> None:
    call_command("seed_demo")
    before = rows()
    call_command("seed_demo")
    assert rows() == before


@pytest.mark.usefixtures("empty", "as_web")
def test_a_demo_of_before_gets_the_roles_that_came_since_once() -> None:
    call_command("seed_demo")
    carol, bob = User.objects.get(username="carol"), User.objects.get(username="bob")
    set_roles(carol, {"reviewer"})
    call_command("person", "set-role", "bob", "--roles", "reviewer", "--groups", "payments")
    call_command("seed_demo")
    assert roles_of(User.objects.get(pk=carol.pk)) == {"reviewer", "operator"}
    assert roles_of(User.objects.get(pk=bob.pk)) == {"reviewer"}, "somebody took it back"
    before = rows()
    call_command("seed_demo")
    assert rows() == before


@pytest.mark.usefixtures("empty", "as_web")
def test_somebody_of_the_same_name_is_left_alone() -> None:
    carol = User.objects.create_user(username="carol", password="x", tenant=DEFAULT_TENANT)
    call_command("seed_demo")
    assert roles_of(carol) == set()


@pytest.mark.usefixtures("empty", "as_web")
def test_what_was_taken_back_stays_taken_back() -> None:
    call_command("seed_demo")
    Scope.objects.filter(tool="already_paid").delete()
    Reviewer.objects.filter(person__username="carol").delete()
    remove_rule(DEFAULT_TENANT, Policy.objects.get(retired_at=None).body["rules"][-1]["name"])
    before = rows()
    call_command("seed_demo")
    assert rows() == before


@pytest.mark.usefixtures("empty")
def test_without_the_vault_it_says_so_and_a_later_start_goes_on(
    request: pytest.FixtureRequest,
) -> None:
    with (
        override_settings(PLACET_VAULT_ROLE_ID="", PLACET_VAULT_SECRET_ID=""),
        pytest.raises(CommandError, match="The bank's key could not be put into the vault: "),
    ):
        call_command("seed_demo")
    assert not Run.objects.exists()
    request.getfixturevalue("as_web")
    call_command("seed_demo")
    assert Run.objects.count() == 1
