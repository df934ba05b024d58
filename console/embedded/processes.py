"""Child processes that can be found again, ended in bounded time, and never outlive us.

Each child is a process group of its own (Ctrl-C in a terminal reaches only the supervisor)
and carries a random mark in its environment. After a supervisor was killed, the next one
ends exactly the processes that carry the mark which the dead one left behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

MARK = "PLACET_MARK"
LEASH = Path(__file__).with_name("leash.py")
Process = subprocess.Popen[bytes]


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    output: int | IO[bytes],
    cwd: Path,
) -> Process:
    """Start `command` with exactly `environment`; call it from a thread that lives on.

    The kernel ties the child to the thread that forked it: when that ends, the child is killed.
    """
    leashed = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *map(str, command)]
    return subprocess.Popen(
        leashed,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        process_group=0,
    )


def signal_group(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def end(process: Process, *, within_seconds: float, by: signal.Signals = signal.SIGTERM) -> None:
    """Ask the process to end, wait, and kill what is left of its group."""
    if process.poll() is None:
        process.send_signal(by)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(within_seconds)
    signal_group(process, signal.SIGKILL)
    process.wait()


def end_marked(mark: str, *, within_seconds: float = 10) -> list[int]:
    """End every process that carries `mark`; return their ids."""
    found = _marked(mark)
    _signal_all(found, signal.SIGTERM)
    deadline = time.monotonic() + within_seconds
    while _marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal_all(_marked(mark), signal.SIGKILL)
    while _marked(mark) and time.monotonic() < deadline + within_seconds:
        time.sleep(0.05)
    return found


def _marked(mark: str) -> list[int]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        # A process may end, or belong to somebody else, between the listing and the reading.
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _signal_all(ids: Iterable[int], number: signal.Signals) -> None:
    for process_id in ids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process_id, number)


def children_of(parent: int) -> list[int]:
    """The processes whose parent is `parent`, oldest first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold spaces; the parent is the second field after.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(entry.name))
    return sorted(found)


def ending_in_words(code: int) -> str:
    """How a process ended, for people: `code` is `Popen.returncode`."""
    # Shells and walls tell the signal that ended their child by adding 128 to it.
    number = -code if code < 0 else code - 128
    if number <= 0 or number not in {known.value for known in signal.Signals}:
        return f"ended with exit code {code}"
    return f"was ended by signal {number} ({signal.Signals(number).name})"
