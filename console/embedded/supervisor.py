"""Keeps the processes of one Placet running until it is told to stop.

One thread, one loop: it shows what the processes say, sees which ended, says why, and
starts them again after a pause. All processes are started from this thread, because the
kernel ties each to the thread that forked it.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

from console.embedded.errors import CannotStart
from console.embedded.members import LoggedMember, Member
from console.embedded.output import Output

TICK_SECONDS = 0.1
STOP_SECONDS = 12.0
DRAIN_READS = 100
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopAsked(BaseException):
    """Somebody asked to stop while Placet was still starting."""


class Supervisor:
    """Stopping and starting of all members, and their output."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.members: list[Member] = []
        self._selector = selectors.DefaultSelector()
        self._is_running = False
        self._times_asked = 0

    @contextlib.contextmanager
    def catching_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._times_asked += 1
        if not self._is_running and self._times_asked == 1:
            raise StopAsked

    def adopt(self, member: Member) -> None:
        """Watch a process that runs already."""
        self.members.append(member)

    def start(self, member: Member) -> None:
        self.members.append(member)
        self._start(member)

    def _start(self, member: Member) -> None:
        try:
            member.start()
        except (CannotStart, OSError) as error:
            pause = member.schedule()
            self.output.say(
                f"{member.name} could not be started: {error} Trying again in {pause:.0f} s."
            )
            return
        if isinstance(member, LoggedMember) and member.process and member.process.stdout:
            self._selector.register(member.process.stdout, selectors.EVENT_READ, member)

    def run(self, on_tick: Callable[[], None]) -> None:
        """Until a signal asks to stop."""
        self._is_running = True
        while not self._times_asked:
            self.show_output(TICK_SECONDS)
            self._tend()
            on_tick()

    def show_output(self, wait_seconds: float) -> None:
        if not self._selector.get_map():
            time.sleep(wait_seconds)
            return
        for key, _ in self._selector.select(wait_seconds):
            if key.data.read() == 0:
                self._selector.unregister(key.fileobj)

    def _tend(self) -> None:
        for member in self.members:
            if member.start_at is not None:
                if time.monotonic() >= member.start_at:
                    self._start(member)
            elif member.process is not None and member.process.poll() is not None:
                self._note_end(member)

    def _note_end(self, member: Member) -> None:
        self._drain(member)
        # What is left of its group would go on working beside the next one.
        member.end(within_seconds=0)
        why = member.why_it_ended()
        pause = member.schedule()
        self.output.say(f"{member.name} {why}. Starting it again in {pause:.0f} s.")

    def _drain(self, member: Member) -> None:
        """Its last lines, which may have come after the last look."""
        if not isinstance(member, LoggedMember) or member.process is None:
            return
        output = member.process.stdout
        if output is None or output.closed:
            return
        if output in self._selector.get_map():
            self._selector.unregister(output)
            # Bounded, because a child of it may hold the pipe open and go on talking.
            for _ in range(DRAIN_READS):
                if not member.read():
                    break
        output.close()

    def stop(self, *names: str) -> None:
        """End these members and kill what is not gone in time; a second signal cuts it short."""
        leaving = [member for member in self.members if member.name in names]
        self.members = [member for member in self.members if member.name not in names]
        for member in leaving:
            member.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        while self._alive(leaving) and time.monotonic() < deadline and self._times_asked < 2:
            self.show_output(TICK_SECONDS)
        late = self._alive(leaving)
        for member in leaving:
            member.end(within_seconds=0)
            self._drain(member)
        if late:
            self.output.say(f"Killed what had not stopped yet: {', '.join(late)}.")

    def _alive(self, members: list[Member]) -> list[str]:
        return [m.name for m in members if m.process is not None and m.process.poll() is None]
