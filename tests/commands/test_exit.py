"""What a shell sees: exit status, one sentence on stderr, nothing on stdout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import World
from tests.servers import Servers

ROOT = Path(__file__).resolve().parents[2]


def manage(servers: Servers, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PLACET", "DJANGO"))}
    return subprocess.run(
        [sys.executable, "-W", "ignore", ROOT / "manage.py", *arguments],
        env=environment | {"PLACET_HOME": str(servers.home)} | extra,
        cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_a_token_is_all_that_a_shell_captures(world: World, servers: Servers) -> None:
    done = manage(servers, "token", "create", "--user", "alice", "--scopes", "runs:read")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("placet_") and done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("start", "nothing"), 1, "CommandError: There is no workflow called 'nothing'."),
        (("start",), 2, "the following arguments are required: workflow"),
        (("gates", "--state", "ajar"), 2, "invalid choice: 'ajar'"),
        (("policy", "retire", "x"), 1, "CommandError: The policy has no rule 'x'."),
    ],
)
def test_a_refusal_is_a_sentence_and_a_status(
    world: World, servers: Servers, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    done = manage(servers, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_a_database_that_is_not_there_is_said_to_be(servers: Servers) -> None:
    done = manage(servers, "gates", PLACET_DATABASE_URL="postgresql://nobody@127.0.0.1:1/placet")
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The database does not answer")
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_failure_to_explain(world: World, servers: Servers) -> None:
    line = f"{sys.executable} -W ignore {ROOT}/manage.py policy list | true"
    done = subprocess.run(
        ["sh", "-c", f"PLACET_HOME={servers.home} {line}"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""


def test_a_shell_that_knows_no_environment_is_led_to_it(tmp_path: Path) -> None:
    manage_py = tmp_path / "manage.py"
    manage_py.write_text((ROOT / "manage.py").read_text())
    # Without site packages there is no Django, as in a shell that has just been opened.
    bare = [sys.executable, "-S", manage_py, "doctor"]

    none = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert (none.returncode, none.stdout, none.stderr) == (1, "", "Run `make up` first.\n")

    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o700)
    led = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert led.stdout == f"{manage_py} doctor\n"
