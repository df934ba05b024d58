"""The processes that the supervisor keeps alive: how each starts, and why it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from console.embedded.processes import Process, end, ending_in_words, spawn
from console.embedded.server import Server, last_line
from console.embedded.walls import behind

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# Up for this long, a process counts as mended: its next pause is the shortest again.
MENDED_SECONDS = 30.0
LINE_BYTES = 16_384


class Member(ABC):
    """One process of a running Placet, through all its restarts."""

    stop_seconds: float = 10

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: Process | None = None
        self.started_at = 0.0
        self.start_at: float | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS

    @abstractmethod
    def spawn(self) -> Process: ...

    @abstractmethod
    def last_words(self) -> str:
        """The last line that it said."""

    def start(self) -> None:
        self.start_at = None
        self.process = self.spawn()
        self.started_at = time.monotonic()

    def schedule(self) -> float:
        """Plan the next start; gives the seconds until then, twice as many after each failure."""
        if time.monotonic() - self.started_at > MENDED_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        pause = self._pause_seconds
        self._pause_seconds = min(pause * 2, LONGEST_PAUSE_SECONDS)
        self.start_at = time.monotonic() + pause
        return pause

    def why_it_ended(self) -> str:
        code = self.process.returncode if self.process is not None else 0
        return f'{ending_in_words(code)}, last saying "{self.last_words()}"'

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def end(self, *, within_seconds: float) -> None:
        if self.process is not None:
            end(self.process, within_seconds=within_seconds)


class ServerMember(Member):
    """An embedded server, which writes its own log."""

    def __init__(self, name: str, server: Server) -> None:
        super().__init__(name)
        self.server = server
        self.process = server.process
        self.started_at = time.monotonic()

    def spawn(self) -> Process:
        return self.server.spawn()

    def last_words(self) -> str:
        return last_line(self.server.log)


class LoggedMember(Member):
    """A process whose output is shown line by line."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        show: Callable[[str, str], None],
        is_walled: bool = False,
        ready_line: str = "",
    ) -> None:
        """It counts as ready once it said a line that ends so."""
        super().__init__(name)
        self.ready_line = ready_line
        self.is_ready = False
        self.is_walled = is_walled
        self.command = command
        self.environment = environment
        self.cwd = cwd
        self.show = show
        self._last = "it said nothing"
        self._partial = b""

    def spawn(self) -> Process:
        process = spawn(
            self.command, environment=self.environment, output=subprocess.PIPE, cwd=self.cwd
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        return process

    def last_words(self) -> str:
        return self._last

    def ask_to_stop(self) -> None:
        """A wall passes no signal on, so that what is behind it is asked by its own id."""
        inside = behind(self.process) if self.is_walled and self.process is not None else None
        if inside is None:
            super().ask_to_stop()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(inside, signal.SIGTERM)

    def read(self) -> int | None:
        """Show what it said; gives how many bytes, 0 at the end of its output, None for nothing."""
        assert self.process is not None and self.process.stdout is not None
        try:
            said = os.read(self.process.stdout.fileno(), 65_536)
        except BlockingIOError:
            return None
        *lines, self._partial = (self._partial + said).split(b"\n")
        if self._partial and (not said or len(self._partial) > LINE_BYTES):
            lines.append(self._partial)
            self._partial = b""
        for line in lines:
            self._show_line(line.decode(errors="replace"))
        return len(said)

    def _show_line(self, line: str) -> None:
        if line.strip():
            self.show(self.name, line)
            self._last = line.strip()
            self.is_ready = self.is_ready or line.rstrip().endswith(self.ready_line)
