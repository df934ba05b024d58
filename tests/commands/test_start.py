"""manage.py start"""

from __future__ import annotations

from pathlib import Path

import pytest

from console.models import AuditEntry
from console.roles import set_roles
from runs.models import Event, Run
from tests.commands.terminal import as_owner, run
from tests.harness import World, as_role


def test_a_start_prints_the_id_and_is_audited(world: World) -> None:
    said = run("start", "adding", "--input", '{"numbers": [1, 2]}')
    started = Run.objects.get()
    assert said.out == f"{started.id}\n"
    assert started.requested_by == world.alice
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor) == ("run_started", "manage.py (for alice)")


def test_the_input_may_be_in_a_file_and_the_key_starts_once(world: World, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"numbers": [3]}')
    line = ("adding", "--input", f"@{tmp_path}/input.json", "--user", "alice",
            "--idempotency-key", "k")  # fmt: skip
    first, again = run("start", *line), run("start", *line)
    assert first.out == again.out and first.err == ""
    assert again.err == "This key had started the run before.\n"
    assert Run.objects.count() == 1
    assert AuditEntry.objects.count() == 1


GOOD = '{"numbers": [1]}'
REFUSED = [
    (("nothing", "--input", GOOD), "There is no workflow called 'nothing'."),
    (("adding", "--input", "{"), "The input is refused: This is not JSON"),
    (("adding", "--input", "[]"), "The input must be a JSON object."),
    (("adding", "--input", '{"numbers": [1], "numbers": [2]}'), "The input is refused: One object"),
    (("adding", "--input", '{"numbers": [NaN]}'), "The input is refused: The value NaN is not"),
    (("adding", "--input", '{"numbers": ["\\u0000"]}'), "The input is refused at /numbers/0: The"),
    (("adding", "--input", '{"numbers": [1.5]}'), "/numbers/0: 1.5 is not of type 'integer'."),
    (("adding", "--input", '{"numbers": [1], "colour": "red"}'), "input: Additional properties"),
    (("adding", "--input", '{"numbers": [' + "1," * 600_000 + "1]}"), "The input is refused: This"),
    (("adding", "--input", "@/nowhere/at/all"), "The file of the input cannot be read: No such"),
    (("adding", "--input", GOOD, "--user", "nemo"), "There is no active person named 'nemo'."),
    (("adding", "--input", GOOD, "--user", "bob"), "Your roles do not give the right"),
    (("adding", "--input", GOOD, "--idempotency-key", ""), "An idempotency key is 1 to 255"),
    (("adding", "--input", GOOD, "--idempotency-key", "é"), "An idempotency key is 1 to 255"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED, ids=[r[1] for r in REFUSED])
def test_a_start_that_cannot_be_is_refused_in_a_sentence(
    world: World, arguments: tuple[str, ...], sentence: str
) -> None:
    said = run("start", *arguments)
    assert said.refusal.startswith(sentence), said.refusal[:300]
    assert said.out == ""
    assert not Run.objects.exists() and not Event.objects.exists()
    assert not AuditEntry.objects.exists()


def test_the_same_key_with_another_input_is_refused(world: World) -> None:
    run("start", "adding", "--input", GOOD, "--idempotency-key", "k")
    said = run("start", "adding", "--input", '{"numbers": [2]}', "--idempotency-key", "k")
    assert "was used before, for another request" in said.refusal
    assert Run.objects.count() == 1


def test_with_two_operators_one_must_say_who_asks(world: World) -> None:
    with as_role("placet_owner"):
        set_roles(world.erin, {"operator"})
    assert (
        run("start", "adding", "--input", GOOD).refusal == "Say with --user who asks for the run."
    )
    assert as_owner("person", "list").out.count("operator") == 2
