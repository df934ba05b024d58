"""manage.py key, and manage.py decide --key: the second surface"""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from approvals import signing
from approvals.envelope import phrase
from approvals.models import Change, Decision, Gate, Key
from runs.clock import database_now
from tests.commands.terminal import run
from tests.harness import PASSWORD, World, admin
from tests.zoo import ledger


@pytest.fixture(autouse=True)
def _knows_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)


@pytest.fixture
def gate(world: World) -> Gate:
    (gate,) = world.gates(world.park_at_gates(50_000))
    return gate


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    """A key file of Bob's, enrolled."""
    path = tmp_path / "bob.key"
    run("key", "generate", str(path))
    assert run("key", "enrol", str(path), "--user", "bob", "--name", "Desk").refusal == ""
    world.keep_gates()
    return path


def test_a_file_is_made_for_its_owner_alone_and_never_over_another(tmp_path: Path) -> None:
    path = tmp_path / "bob.key"
    said = run("key", "generate", str(path))
    assert said.out.startswith("ed25519:") and said.out.count("\n") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert "is there already" in run("key", "generate", str(path)).refusal
    assert path.read_bytes() == before
    assert run("key", "show", str(path)).out == said.out
    path.chmod(0o640)
    assert "run chmod 600 on it first" in run("key", "show", str(path)).refusal
    path.chmod(0o600)
    path.write_text("something else")
    assert "is no key file" in run("key", "show", str(path)).refusal
    assert "No such file" in run("key", "show", str(tmp_path / "none")).refusal
    assert "cannot be written" in run("key", "generate", str(tmp_path / "no" / "k")).refusal


def test_a_key_is_enrolled_listed_and_revoked_from_the_terminal(world: World, file: Path) -> None:
    (key,) = Key.objects.all()
    listed = run("key", "list", "--user", "bob").out
    assert str(key.pk) in listed and "Desk" in listed and "fresh" in listed and "never" in listed
    assert run("key", "list", "--user", "carol").out == "carol has no keys.\n"
    again = run("key", "enrol", str(file), "--user", "carol", "--name", "Mine")
    assert again.refusal == "This key is enrolled already."
    assert "There is no such key." in run("key", "revoke", str(key.pk), "--user", "carol").refusal
    said = run("key", "revoke", str(key.pk), "--user", "bob", "--reason", "Lost.")
    assert said.out == "The key Desk is revoked: it signs nothing from now on.\n"
    assert "revoked" in run("key", "list", "--user", "bob").out


def test_nobody_enrols_with_a_password_that_is_not_theirs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    run("key", "generate", str(path))
    monkeypatch.setenv("PLACET_PASSWORD", "guessed")
    said = run("key", "enrol", str(path), "--user", "bob", "--name", "Desk")
    assert said.refusal == "That is not the password of bob."


def test_an_approval_is_signed_by_the_file_over_what_the_terminal_worked_out(
    world: World, gate: Gate, file: Path
) -> None:
    said = run(
        *("decide", str(gate.id), "--user", "bob", "--approve", "--yes"),
        *("--reason", " Checked. ", "--key", str(file)),
    )
    assert said.refusal == ""
    assert phrase(bytes(gate.digest)) in said.out
    decision = Decision.objects.get()
    assert (decision.method, decision.key.name) == ("file", "Desk")
    because = signing.why_unsigned(
        decision,
        tier="passkey",
        digest=bytes(gate.digest),
        on_behalf_of_id=None,
        typed="",
        at=database_now(),
        origins=[],
    )
    assert because == ""
    world.settle()
    assert len(ledger("paid")) == 1


def test_a_file_that_is_not_the_persons_signs_nothing(
    world: World, gate: Gate, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.key"
    run("key", "generate", str(other))
    decide = ("decide", str(gate.id), "--approve", "--yes", "--user")
    said = run(*decide, "bob", "--key", str(other))
    assert "This file is no enrolled key of bob" in said.refusal
    said = run(*decide, "carol", "--key", str(file))
    assert "This file is no enrolled key of carol" in said.refusal
    file.chmod(0o644)
    assert "run chmod 600" in run(*decide, "bob", "--key", str(file)).refusal
    assert not Decision.objects.exists()


def test_facts_that_do_not_fit_their_digest_are_not_decided_about(
    world: World, gate: Gate, file: Path
) -> None:
    """As a superuser of the database could lie about them."""
    told = bytes(gate.envelope).replace(b"50000", b"10000")
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_gate SET envelope = %s WHERE id = %s", [told, gate.id])
    said = run(*("decide", str(gate.id), "--user", "bob", "--approve", "--yes", "--key", str(file)))
    assert "100.00" in said.out and bytes(gate.digest).hex() not in said.out
    assert "is not what this gate asks about; nothing was decided" in said.refusal
    assert not Decision.objects.exists()


def test_an_admin_vouches_for_a_fresh_key_from_the_terminal(world: World, file: Path) -> None:
    (key,) = Key.objects.all()
    listed = run("key", "fresh", "--user", "erin").out
    assert str(key.pk) in listed and "bob" in listed and "Desk" in listed
    said = run("key", "vouch", str(key.pk), "--reason", "He called me.", "--user", "erin")
    change = Change.objects.get()
    assert said.out == f"{change.pk} is proposed; another admin must agree.\n"
    assert change.kind == "vouch_key"
    for user, why in (("bob", "Your roles do not give the right"), ("erin", "The same has been")):
        again = run("key", "vouch", str(key.pk), "--reason", "x", "--user", user)
        assert again.refusal.startswith(why), again.refusal
