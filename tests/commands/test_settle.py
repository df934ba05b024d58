"""manage.py settle"""

from __future__ import annotations

import pytest

from console.models import AuditEntry
from runs.models import Settlement, Step
from tests.commands.terminal import run
from tests.doubts import doubtful, doubtful_payment, make_operators, paused_seat
from tests.harness import PASSWORD, World

REASON = ("--reason", "Asked them.")


@pytest.fixture
def step(world: World, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A launch of Alice's in doubt; whoever types knows the cast's password."""
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)
    make_operators(world)
    return doubtful(world)


def test_an_answer_shows_the_doubt_first_and_settles_it(world: World, step: Step) -> None:
    said = run(
        "settle", str(step.run_id), "0", "--user", "carol", "--happened", '{"name": "x"}',
        *REASON, "--yes",
    )  # fmt: skip
    assert said.refusal == ""
    assert said.out.endswith("Recorded: carol says: it happened.\n")
    for fact in (
        "launch, attempt 1", "Nobody knows whether launch took effect.", step.key,
        "ConnectionResetError: the connection was dropped", '{"name":"x"}',
    ):  # fmt: skip
        assert fact in said.out, fact
    entry = AuditEntry.objects.get(action="doubt_settled")
    assert (entry.actor, entry.subject_id) == ("carol", str(step.id))
    world.settle()
    assert world.result(step.run) == {"name": "x"}


def test_who_comes_second_sees_what_the_first_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)
    make_operators(world)
    step = doubtful_payment(world)
    at = (str(step.run_id), str(step.position))
    assert run("settle", *at, "--user", "carol", "--give-up", *REASON, "--yes").refusal == ""
    said = run("settle", *at, "--user", "bob", "--give-up", *REASON, "--yes")
    assert "€98.70 was paid" in said.out and "1 of 2 equal answers so far." in said.out
    assert "carol: give up (Asked them.)" in said.out
    world.settle()
    assert Step.objects.get(pk=step.pk).status == "failed"


REFUSED = [
    (("--user", "carol", "--give-up", "--yes"), "Error: the following arguments are required"),
    (("--user", "carol", *REASON, "--yes"), "Error: one of the arguments --happened"),
    (("--user", "carol", "--give-up", *REASON), "There is nobody to ask for confirmation"),
    (("--user", "carol", "--happened", "TX-17", *REASON, "--yes"), "The result is refused: This"),
    (("--user", "carol", "--give-up", "--reason", " ", "--yes"), "Say how you know it"),
    (("--user", "carol", "--give-up", "--reason", "x" * 1001, "--yes"), "The reason is 1001"),
    (("--user", "carol", "--give-up", "--reason", "x\0", "--yes"), "The reason holds a NUL"),
    (("--user", "alice", "--give-up", *REASON, "--yes"), "You requested this run, so somebody"),
    (("--user", "dave", "--give-up", *REASON, "--yes"), "Your roles do not give the right"),
    (("--user", "nemo", "--give-up", *REASON, "--yes"), "There is no active person named 'nemo'."),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(
    step: Step, arguments: tuple[str, ...], sentence: str
) -> None:
    at = (str(step.run_id), "0")
    said = run("settle", *at, *arguments)
    assert said.refusal.startswith(sentence), said.refusal
    assert not Settlement.objects.exists()
    assert not AuditEntry.objects.filter(action="doubt_settled").exists()
    assert run("settle", *at, "--user", "carol", "--give-up", *REASON, "--yes").refusal == ""


def test_nobody_settles_with_a_password_that_is_not_theirs(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", "guessed")
    said = run("settle", str(step.run_id), "0", "--user", "carol", "--give-up", *REASON, "--yes")
    assert said.refusal == "That is not the password of carol."
    assert step.key not in said.out
    assert not Settlement.objects.exists()


@pytest.mark.parametrize(
    ("position", "sentence"),
    [
        ("7", "There is no such step."),
        ("-1", "There is no such step."),
        ("x", "Error: argument position: invalid int value: 'x'"),
    ],
)
def test_a_step_that_is_not_there_is_said_to_be_not_there(
    step: Step, position: str, sentence: str
) -> None:
    who = ("--user", "carol", "--give-up", *REASON, "--yes")
    assert run("settle", *who, "--", str(step.run_id), position).refusal == sentence


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (("--retry",), {"name": "Ada", "seats": 1}),
        (("--retry-with", '{"name": "Bo"}'), {"name": "Bo", "seats": 1}),
        (("--skip", '{"seats": 0}'), {"seats": 0}),
        (("--undo",), None),
        (("--give-up",), None),
    ],
)
def test_a_paused_step_goes_on_as_it_was_said(
    world: World, answer: tuple[str, ...], result: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)
    make_operators(world)
    step = paused_seat(world)
    at = (str(step.run_id), "0", "--user", "carol")
    none = run("settle", *at, "--did-not-happen", *REASON, "--yes")
    assert none.refusal.startswith("An answer is one of retry, retry_with")
    said = run("settle", *at, *answer, *REASON, "--yes")
    assert said.refusal == ""
    assert "Paused for a person" in said.out and "One person must say how it goes on." in said.out
    world.settle()
    assert world.result(step.run) == result
    assert world.run_now(step.run).status == ("failed" if result is None else "succeeded")
