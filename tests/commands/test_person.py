"""manage.py person"""

from __future__ import annotations

import pytest

from approvals.models import Reviewer
from approvals.people import human
from console.models import AuditEntry, User
from console.roles import may, roles_of
from tests.commands.terminal import as_owner, run
from tests.harness import World

GOOD = "a long enough sentence"


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", GOOD)


def test_a_person_is_added_with_roles_groups_and_password(world: World) -> None:
    said = as_owner("person", "add", "frank", "--roles", "reviewer,operator",
                    "--groups", "payments", "--tenant", world.tenant)  # fmt: skip
    assert said.out == f"frank of {world.tenant} has operator, reviewer.\n"
    frank = User.objects.get(username="frank")
    assert frank.check_password(GOOD) and frank.tenant == world.tenant
    assert may(frank, "gates.decide") and may(frank, "runs.start")
    assert not may(frank, "secrets.write")
    assert Reviewer.objects.filter(person=frank, group="payments").count() == 1
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject) == ("person_added", "frank")
    assert GOOD not in str(entry.detail)


def test_set_role_gives_exactly_what_it_says(world: World) -> None:
    assert as_owner("person", "set-role", "bob", "--roles", "auditor").refusal == ""
    bob = User.objects.get(username="bob")
    assert roles_of(bob) == {"auditor"}
    assert not Reviewer.objects.filter(person=bob).exists()
    assert "auditor" in as_owner("person", "list").out


def test_accounts_of_one_address_are_one_human(world: World) -> None:
    added = as_owner("person", "add", "frank", "--tenant", world.tenant, "--email", "f@example.org")
    assert added.refusal == ""
    as_owner("person", "set-role", "erin", "--roles", "admin", "--email", "F@Example.org")
    frank, erin = User.objects.get(username="frank"), User.objects.get(username="erin")
    assert human(frank) == human(erin) == "address f@example.org"
    as_owner("person", "set-role", "erin", "--roles", "admin")
    assert User.objects.get(username="erin").email == "F@Example.org"


REFUSED = [
    (("add", "frank", "--email", "nowhere"), "Enter a valid email address."),
    (("set-role", "bob", "--email", "nowhere"), "Enter a valid email address."),
    (("add", "alice"), "A user with that username already exists."),
    (("add", "fr ank"), "Enter a valid username."),
    (("add", "a\0b"), "Enter a valid username."),
    (("add", "frank", "--roles", "king"), "There is no role 'king'; the roles are"),
    (("add", "frank", "--groups", "a" * 64), "A group is 1 to 63"),
    (("add", "frank", "--tenant", ""), "A tenant is 1 to 63"),
    (("set-role", "nemo", "--roles", "auditor"), "There is no active person named 'nemo'."),
    (("set-role", "bob", "--roles", "king"), "There is no role 'king'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_a_wrong_person_is_refused_in_a_sentence(
    world: World, arguments: tuple[str, ...], sentence: str
) -> None:
    people, reviewers = User.objects.count(), Reviewer.objects.count()
    said = as_owner("person", *arguments)
    assert sentence in said.refusal, said.refusal
    assert (User.objects.count(), Reviewer.objects.count()) == (people, reviewers)
    assert roles_of(User.objects.get(username="bob")) == {"reviewer"}
    assert not AuditEntry.objects.exists()


def test_a_weak_password_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", "short")
    assert "too short" in as_owner("person", "add", "frank").refusal
    assert not User.objects.filter(username="frank").exists()


def test_the_web_process_cannot_make_a_reviewer(world: World) -> None:
    said = run("person", "set-role", "alice", "--roles", "operator,reviewer")
    assert "owner" in said.refusal
    assert roles_of(User.objects.get(username="alice")) == {"operator"}
