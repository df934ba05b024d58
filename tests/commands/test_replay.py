"""manage.py replay"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest

from tests.approvals import planted
from tests.commands.terminal import Said, run
from tests.harness import World
from tests.zoo import ledger, world_dir


def replay(*arguments: str) -> Said:
    return run("replay", *arguments, role="placet_worker")


def test_it_says_which_runs_would_break(world: World) -> None:
    parked = world.start("changing")
    world.settle()
    said = replay(str(parked.id))
    assert said.out.splitlines() == [
        f"fits    {parked.id}  changing: It agrees with all 2 steps that there are.",
        "All 1 agree with this code.",
    ]
    before = ledger()
    (world_dir() / "broken-code").touch()
    said = replay("--workflow", "changing", "--status", "waiting")
    assert said.refusal == "1 of 1 would break."
    assert said.out.splitlines()[1:] == [
        "        recorded: the signal go",
        "        the code: the tool echo",
    ]
    assert ledger() == before


def test_an_export_is_replayed_from_a_file(world: World, tmp_path: Path) -> None:
    for _ in range(2):
        world.start("changing")
    world.settle()
    exported = replay("--workflow", "changing", "--export").out
    (tmp_path / "journals").write_text(exported)
    assert replay("--file", str(tmp_path / "journals")).out.endswith(
        "All 2 agree with this code.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ((), "No run was named: give identifiers, --workflow or --file."),
        (("nonsense",), "There is no run nonsense."),
        ((str(uuid4()),), "There is no run "),
        (("--workflow", "adding", "--most", "0"), "--most is from 1 to 10000."),
        (("--workflow", "adding", "--most", "10001"), "--most is from 1 to 10000."),
        (("--file", "/nowhere"), "The file cannot be read: No such file or directory."),
    ],
)
def test_what_cannot_be_replayed_says_why(
    world: World, arguments: tuple[str, ...], refusal: str
) -> None:
    assert replay(*arguments).refusal.startswith(refusal)


def test_code_that_would_write_cannot(world: World) -> None:
    """Agents' code runs in it, under the worker's role: the session is read-only."""
    from django.db import connection
    from django.db.utils import DatabaseError

    from tests.harness import as_role

    parked = world.start("changing")
    world.settle()
    with as_role("placet_worker"):
        from django.core.management import call_command

        call_command("replay", str(parked.id), stdout=StringIO())
        with pytest.raises(DatabaseError, match="read-only transaction"):
            with connection.cursor() as cursor:
                cursor.execute("UPDATE runs_run SET progress_done = 1")


def test_what_was_never_run_is_not_replayed(world: World) -> None:
    gate = planted.planted(world)
    said = replay("--workflow", "transferring")
    assert said.out.endswith("All 1 agree with this code.\n"), "the payment it is modelled on"
    assert "Nothing of run" in replay(str(gate.run_id)).refusal
