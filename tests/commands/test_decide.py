"""manage.py gates, manage.py decide"""

from __future__ import annotations

import json

import pytest

from approvals.batches import digest_of
from approvals.envelope import phrase
from approvals.models import Batch, Decision, Gate
from console.models import AuditEntry
from tests.approvals.attacks import parked_at
from tests.commands.terminal import run
from tests.harness import PASSWORD, World
from tests.zoo import ledger


@pytest.fixture
def gate(world: World, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate over 500.00 EUR; whoever types knows the password that all of the cast share."""
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)
    (gate,) = world.gates(world.park_at_gates(50_000))
    return gate


def test_open_gates_are_listed_with_what_a_decision_needs(gate: Gate) -> None:
    said = run("gates")
    assert "500.00 EUR" in said.out and "alice" in said.out and "0 of 1" in said.out
    assert str(gate.id) in said.out and phrase(bytes(gate.digest)) in said.out
    (line,) = run("gates", "--json").out.splitlines()
    facts = json.loads(line)
    assert (facts["id"], facts["amount_minor"]) == (str(gate.id), 50_000)
    assert facts["digest"] == bytes(gate.digest).hex()
    assert run("gates", "--state", "denied").out == "There are no gates that are denied.\n"
    assert "invalid choice" in run("gates", "--state", "ajar").refusal


def test_an_approval_shows_the_facts_first_and_pays_once(world: World, gate: Gate) -> None:
    said = run("decide", str(gate.id), "--user", "bob", "--approve", "--yes")
    assert said.refusal == ""
    assert said.out.endswith("Recorded: bob says approve.\n")
    for fact in ("500.00 EUR", gate.payee, "alice", bytes(gate.digest).hex()):
        assert fact in said.out
    entry = AuditEntry.objects.get(action="decided")
    assert (entry.actor, entry.subject_id) == ("bob", str(gate.id))
    world.settle()
    assert len(ledger("paid")) == 1


REFUSED = [
    (("--user", "bob", "--deny", "--yes"), "A denial needs a reason"),
    (("--user", "bob", "--approve"), "There is nobody to ask for confirmation; say --yes"),
    (("--user", "alice", "--approve", "--yes"), "Your roles do not give the right"),
    (("--user", "mallory", "--approve", "--yes"), "Only members of the group 'payments' decide"),
    (("--user", "nemo", "--approve", "--yes"), "There is no active person named 'nemo'."),
    (("--user", "bob", "--yes"), "Error: one of the arguments --approve --deny is required"),
    (("--user", "bob", "--deny", "--yes", "--reason", "a" * 1001), "The reason is 1001 characters"),
    (("--user", "bob", "--deny", "--yes", "--reason", "a\0"), "The reason holds a NUL"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_a_decision_that_cannot_be_is_refused_in_a_sentence(
    gate: Gate, arguments: tuple[str, ...], sentence: str
) -> None:
    said = run("decide", str(gate.id), *arguments)
    assert said.refusal.startswith(sentence), said.refusal
    assert not Decision.objects.exists()
    assert not AuditEntry.objects.filter(action="decided").exists()
    assert run("decide", str(gate.id), "--user", "bob", "--approve", "--yes").refusal == ""


def test_nobody_decides_with_a_password_that_is_not_theirs(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", "guessed")
    said = run("decide", str(gate.id), "--user", "bob", "--approve", "--yes")
    assert said.refusal == "That is not the password of bob."
    assert "500.00" not in said.out
    assert not Decision.objects.exists()
    entry = AuditEntry.objects.get(action="sign_in_failed")
    assert entry.actor == "bob" and "guessed" not in str(entry.detail)
    monkeypatch.delenv("PLACET_PASSWORD")
    said = run("decide", str(gate.id), "--user", "bob", "--approve", "--yes")
    assert said.refusal.startswith("There is nobody to ask for the password; set PLACET_PASSWORD")


def test_several_gates_are_shown_and_decided_with_one_confirmation(
    world: World, gate: Gate
) -> None:
    (other,) = world.gates(world.park_at_gates(4200))
    ids = (str(gate.id), str(other.id))
    said = run("decide", *ids, "--user", "bob", "--approve", "--yes")
    assert said.refusal == ""
    listed = digest_of([bytes(gate.digest), bytes(other.digest)])
    for fact in ("500.00 EUR", "42.00 EUR", phrase(bytes(other.digest)), listed.hex()):
        assert fact in said.out
    assert said.out.endswith("".join(f"{id}  recorded: approve\n" for id in ids))
    assert Batch.objects.get().decisions.count() == 2
    again = run("decide", *ids, "--user", "bob", "--deny", "--reason", "No.", "--yes")
    refused = "not recorded: You have decided already; one person has one vote."
    assert again.out.endswith("".join(f"{id}  {refused}\n" for id in ids))


def test_what_asks_for_more_than_a_confirmation_is_not_decided_with_others(
    world: World, gate: Gate
) -> None:
    high = parked_at(world, "passkey")
    ids = (str(gate.id), str(high.id))
    said = run("decide", *ids, "--user", "bob", "--approve", "--yes")
    assert said.refusal.startswith("The payment of 20,050.00 EUR to GB29NWBK60161331926810 asks")
    said = run("decide", *ids, "--user", "bob", "--approve", "--yes", "--typed", "6810")
    assert said.refusal == "A key signs one gate at a time, and so is a fact typed."
    assert not Decision.objects.exists() and not Batch.objects.exists()


@pytest.mark.parametrize("unknown", ["x", "0193d1a0-0000-7000-8000-000000000000"])
def test_a_gate_that_is_not_there_is_said_to_be_not_there(gate: Gate, unknown: str) -> None:
    said = run("decide", unknown, "--user", "bob", "--approve", "--yes")
    assert said.refusal == "There is no such gate."
