"""manage.py pause, resume, cancel, terminate, fork, signal, answer, bulk"""

from __future__ import annotations

import pytest

from console.models import AuditEntry
from runs.models import Event, Run, Signal
from tests.commands.terminal import run as manage
from tests.harness import PASSWORD, World

WHY = ("--user", "alice", "--reason", "The bank is closed.")


@pytest.fixture
def sleeper(world: World) -> Run:
    run = world.start("sleeping", seconds=1000.0)
    world.settle()
    return run


def test_a_run_is_paused_resumed_and_ended_from_a_terminal(world: World, sleeper: Run) -> None:
    said = manage("pause", str(sleeper.id), *WHY, "--yes")
    assert said.refusal == ""
    assert "do not begin until somebody resumes it" in said.out
    assert said.out.endswith("The run was asked to pause.\n")
    assert Run.objects.get().status == "paused"
    assert Event.objects.get(kind="run.paused").actor == "manage.py (for alice)"
    assert AuditEntry.objects.get(action="run_paused").actor == "manage.py (for alice)"
    assert "nothing changed" in manage("pause", str(sleeper.id), *WHY, "--yes").out
    assert manage("resume", str(sleeper.id), "--user", "alice", "--yes").refusal == ""
    assert manage("terminate", str(sleeper.id), *WHY, "--yes").refusal == ""
    world.settle()
    late = manage("cancel", str(sleeper.id), "--user", "alice", "--yes")
    assert late.refusal.startswith("The run has already")


REFUSED = [
    (("pause", "--user", "alice", "--yes"), "Error: the following arguments are required"),
    (("pause", *WHY), "There is nobody to ask for confirmation"),
    (("pause", "--user", "bob", "--reason", "x", "--yes"), "Your roles do not give the right"),
    (("cancel", "--user", "nemo", "--yes"), "There is no active person named 'nemo'."),
    (("resume", "--user", "alice", "--yes"), "The run is waiting, so there is nothing to resume."),
    (("fork", "--at", "7", "--user", "alice"), "The run has no step 7"),
    (("signal", "go", "--payload", "{", "--user", "alice"), "The payload is refused"),
    (("answer", "0", "--values", "1", "--user", "bob"), "There is no question at this position."),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(
    sleeper: Run,
    arguments: tuple[str, ...],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)
    name, *rest = arguments
    said = manage(name, str(sleeper.id), *rest)
    assert said.refusal.startswith(sentence), said.refusal
    assert Run.objects.get().status == "waiting"
    assert not AuditEntry.objects.exclude(action="sign_in_failed").exists()


def test_a_fork_prints_its_id(world: World) -> None:
    run = world.start("adding", numbers=[1, 2])
    world.settle()
    said = manage("fork", str(run.id), "--at", "1", "--user", "alice")
    assert Run.objects.get(pk=said.out.strip()).forked_from_id == run.id


def test_a_signal_is_sent_once_under_its_key(world: World) -> None:
    run = world.start("listening", signals=["go"])
    world.settle()
    once = (str(run.id), "go", "--payload", '{"a": 1}', "--user", "alice",
            "--idempotency-key", "k")  # fmt: skip
    first, again = manage("signal", *once), manage("signal", *once)
    assert first.out == again.out and again.err == "This key had sent it before.\n"
    assert Signal.objects.get().sender == "manage.py (for alice)"
    world.settle()
    assert world.result(run) == [{"a": 1}]


def test_a_question_is_answered_by_who_proves_to_be_somebody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("asking")
    world.settle()
    at = (str(run.id), "0", "--user", "bob", "--yes", "--values")
    monkeypatch.setenv("PLACET_PASSWORD", "guessed")
    assert manage("answer", *at, '{"count": 2}').refusal == "That is not the password of bob."
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)
    assert manage("answer", *at, '{"count": 0}').refusal.startswith("/count: 0 is less than")
    said = manage("answer", *at, '{"count": 2}')
    assert said.out.startswith("How many, and what?")
    world.settle()
    assert world.result(run) == [2, None]


def test_bulk_needs_the_number_that_it_counts(world: World) -> None:
    for _ in range(3):
        world.start("sleeping", seconds=1000.0)
    world.settle()
    which = ("pause", "--workflow", "sleeping", *WHY)
    assert "nobody to ask" in manage("bulk", *which).refusal
    assert manage("bulk", *which, "--count", "2").refusal == "They are 3, and not 2."
    assert not Run.objects.filter(status="paused").exists()
    said = manage("bulk", *which, "--count", "3")
    assert said.out.endswith("Asked 3 runs to pause.\n")
    assert Run.objects.filter(status="paused").count() == 3
    nothing = manage("bulk", "resume", "--user", "alice", "--count", "3")
    assert nothing.refusal.startswith("Say which runs")
    wrong = manage("bulk", "pause", "--since", "today", *WHY)
    assert "is not a moment" in wrong.refusal
