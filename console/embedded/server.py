"""What the three embedded servers have in common: a directory, a port, a process, a log."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from console.embedded.errors import NO_SPACE, CannotStart, full_disk
from console.embedded.processes import Process, end, ending_in_words, signal_group, spawn

READY_SECONDS = 60
LOG_BYTES = 10_000_000


class Server(ABC):
    """One embedded server. `start`, `stop` and `kill` keep its port and its data."""

    name: str
    stop_signal = signal.SIGTERM
    stop_seconds: float = 10

    def __init__(self, *, directory: Path, log: Path, port: int, mark: Mapping[str, str]) -> None:
        self.directory = directory
        self.log = log
        self.port = port
        self.mark = mark
        self.process: Process | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Make the directory and the configuration; nothing when they are there."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]: ...

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it serves; asked again and again while it starts."""

    def start(self) -> None:
        self.spawn()
        self.wait_until_ready()

    def spawn(self) -> Process:
        self.prepare()
        self._turn_log()
        with open(self.log, "ab", opener=_private) as output:
            self.process = spawn(
                self.command(), environment=self.environment(), output=output, cwd=self.directory
            )
        return self.process

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **self.mark}

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            if self.process is None or self.process.poll() is not None:
                raise self.failure()
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"{self.name} did not answer within {READY_SECONDS} s; see {self.log}."
                )
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            end(self.process, within_seconds=self.stop_seconds, by=self.stop_signal)
            self.process = None

    def kill(self) -> None:
        """As a crash does it: at once, nothing written."""
        if self.process is not None:
            signal_group(self.process, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def failure(self) -> CannotStart:
        code = self.process.returncode if self.process else 0
        last = last_line(self.log)
        if NO_SPACE.lower() in last.lower():
            return full_disk(self.directory)
        return CannotStart(f"{self.name} {ending_in_words(code)}: {last} (its log: {self.log})")

    def _turn_log(self) -> None:
        """Keep one older log, so that the logs of a long life stay bounded."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.rename(self.log.with_suffix(".log.1"))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def last_line(log: Path) -> str:
    """The last line that says something, for the reason in a sentence."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    for line in reversed(lines[-50:]):
        if line.strip():
            return line.strip()
    return "it said nothing"
