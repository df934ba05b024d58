"""The supervisor on small real processes: what it says, and when it starts them again."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.embedded import members
from console.embedded.members import LoggedMember
from console.embedded.output import Output
from console.embedded.processes import MARK, end_marked
from console.embedded.programs import Command
from console.embedded.supervisor import Supervisor
from console.embedded.walls import can_wall, walled


class Watched:
    """A supervisor whose output is kept, which runs until `is_so` or a bound."""

    def __init__(self, tmp_path: Path) -> None:
        self.said = io.StringIO()
        self.output = Output(self.said)
        self.supervisor = Supervisor(self.output)
        self.tmp_path = tmp_path

    def add(self, name: str, script: str) -> LoggedMember:
        return self._add(name, ["sh", "-c", script])

    def add_walled(self, name: str, script: str, hidden: Path) -> LoggedMember:
        return self._add(name, walled(["sh", "-c", script], hidden), is_walled=True)

    def _add(self, name: str, command: Command, *, is_walled: bool = False) -> LoggedMember:
        member = LoggedMember(
            name,
            command,
            environment={"PATH": os.environ["PATH"]},
            cwd=self.tmp_path,
            show=self.output.line,
            is_walled=is_walled,
        )
        self.supervisor.start(member)
        return member

    def run_until(self, is_so: Callable[[], bool], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds

        def tick() -> None:
            if is_so() or time.monotonic() > deadline:
                os.kill(os.getpid(), signal.SIGTERM)

        with self.supervisor.catching_signals():
            self.supervisor.run(tick)
        assert is_so(), self.said.getvalue()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.supervisor.stop(*(member.name for member in made.supervisor.members))


def test_an_end_is_told_with_its_exit_code_and_its_last_line(watched: Watched) -> None:
    watched.add("worker", "echo out of paper >&2; exit 3")
    watched.run_until(lambda: "Starting it again" in watched.said.getvalue())
    watched.supervisor.stop("worker")
    assert "worker     | out of paper\n" in watched.said.getvalue()
    assert (
        'placet     | worker ended with exit code 3, last saying "out of paper". '
        "Starting it again in 1 s.\n" in watched.said.getvalue()
    )


def test_an_end_by_a_signal_names_the_signal(watched: Watched) -> None:
    watched.add("web", "kill -9 $$")
    watched.run_until(lambda: "was ended by signal 9 (SIGKILL)" in watched.said.getvalue())


def test_pauses_double_until_it_was_up_for_a_while(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = watched.add("worker", "exit 1")
    pauses = [member.schedule() for _ in range(8)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    monkeypatch.setattr(members, "MENDED_SECONDS", -1)
    assert member.schedule() == 1


def test_it_is_started_again_and_others_are_left_alone(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "FIRST_PAUSE_SECONDS", 0.1)
    steady = watched.add("web", "echo steady; exec sleep 60")
    before = steady.process
    watched.add("worker", "echo hello; exit 1")
    watched.run_until(lambda: watched.said.getvalue().count("worker     | hello") >= 3)
    assert steady.process is before and before is not None and before.poll() is None
    watched.supervisor.stop("web", "worker")
    assert before.poll() == -signal.SIGTERM


def test_what_does_not_stop_in_time_is_killed_with_its_children(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.embedded.supervisor.STOP_SECONDS", 0.5)
    pid_file = watched.tmp_path / "child"
    watched.add("executor", f"trap '' TERM; sleep 61 & echo $! > {pid_file}; wait; wait")
    watched.run_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    child = int(pid_file.read_text())
    watched.supervisor.stop("executor")
    assert "Killed what had not stopped yet: executor." in watched.said.getvalue()
    # The kernel takes a moment for what the signal began.
    deadline = time.monotonic() + 5
    while _runs(child):
        assert time.monotonic() < deadline


def test_lines_cannot_steer_the_terminal(watched: Watched) -> None:
    watched.add("worker", r"printf 'a\033[2Jb\033]0;title\007c\n'; exec sleep 60")
    watched.run_until(lambda: "worker" in watched.said.getvalue())
    assert "\x1b" not in watched.said.getvalue()
    assert "\x07" not in watched.said.getvalue()


def test_behind_a_wall_the_home_is_empty_and_nobody_else_is_seen(watched: Watched) -> None:
    home = watched.tmp_path / "home"
    home.mkdir()
    (home / "key").write_text("secret")
    assert can_wall(home)
    script = f"echo seen: $(ls {home} | wc -l) $(cat /proc/[0-9]*/comm | sort -u | tr '\\n' ' ')"
    member = watched.add_walled("worker", f"trap 'exit 5' TERM; {script}; sleep 60 & wait", home)
    watched.run_until(lambda: "seen:" in watched.said.getvalue())
    assert "seen: 0 bwrap cat sh" in watched.said.getvalue()
    process = member.process
    assert process is not None
    watched.supervisor.stop("worker")
    assert process.returncode == 5  # It was asked, and not only killed with its wall.


def test_only_marked_processes_are_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    marked = subprocess.Popen(command, env={MARK: "this-one"})
    other = subprocess.Popen(command, env={MARK: "that-one"})
    try:
        # The mark shows once the program has replaced the fork of this one.
        deadline = time.monotonic() + 10
        while not (ended := end_marked("this-one")):
            assert time.monotonic() < deadline
        assert ended == [marked.pid]
        assert marked.wait(10) == -signal.SIGTERM
        assert other.poll() is None
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()


def _runs(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
