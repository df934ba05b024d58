"""manage.py breakglass"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals.models import BreakGlass, BreakGlassProof
from console.management import keyfiles
from tests.approvals.authenticator import KeyFile
from tests.approvals.glasses import keyed, let_time_pass, verified
from tests.commands.terminal import run
from tests.harness import PASSWORD, World

REASON = ("--reason", "Bob is on a plane.")


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)


def file_of(person: Any, folder: Path) -> str:
    """An enrolled key file of this person's, long enough ago."""
    path = folder / f"{person.username}.key"
    keyed(person, KeyFile(keyfiles.generate(path)))
    return str(path)


def test_two_people_break_it_by_key_files_and_a_third_reviews_it(
    world: World, tmp_path: Path
) -> None:
    mallorys, erins = file_of(world.mallory, tmp_path), file_of(world.erin, tmp_path)
    about = ("--scope", "tool", "--subject", "pay", *REASON)
    said = run("breakglass", "open", *about, "--user", "mallory", "--key", mallorys, "--yes")
    glass = BreakGlass.objects.get()
    assert said.out.endswith(f"{glass.pk} waits for a second person to confirm it.\n")
    assert "tool pay" in said.out and "30 minutes" in said.out and "Bob is on a plane." in said.out
    id = str(glass.pk)

    said = run("breakglass", "confirm", id, "--user", "erin", "--key", erins, "--yes")
    assert "once the gatekeeper has verified both keys" in said.out
    assert "waits for the gatekeeper" in run("breakglass", "list", "--user", "dave").out
    verified()
    assert BreakGlassProof.objects.get().because == ""
    assert "to be reviewed" in run("breakglass", "list", "--user", "dave").out
    let_time_pass(31)
    said = run("breakglass", "review", id, "--found", "It was right.", "--user", "dave", "--yes")
    assert said.out.endswith("It is reviewed.\n")


def test_what_does_not_sign_opens_nothing(world: World, tmp_path: Path) -> None:
    mallorys, erins = file_of(world.mallory, tmp_path), file_of(world.erin, tmp_path)
    for user, key, sentence in (
        ("mallory", erins, "This file is no enrolled key of mallory"),
        ("alice", mallorys, "Your roles do not give the right"),
    ):
        said = run("breakglass", "open", *REASON, "--user", user, "--key", key, "--yes")
        assert said.refusal.startswith(sentence), said.refusal
    said = run("breakglass", "open", *REASON, "--user", "mallory", "--key", mallorys)
    assert said.refusal.startswith("There is nobody to ask for confirmation; say --yes")
    assert not BreakGlass.objects.exists()
    assert "Nobody has broken the glass." in run("breakglass", "list", "--user", "dave").out
