"""The time of one attempt: it ends, also when the tool's code ignores that.

First an exception is raised in the tool: in the main thread by a signal, which also wakes it
from a sleep or a read, in other threads at the next line of Python; an `async def` is cancelled.
A tool that is still there after `limits.TIMEOUT_GRACE_SECONDS` cannot be made to leave. Then a
thread of this module records what is known of the attempt, and ends the process: its Celery
parent starts another. Code that holds the interpreter's lock, such as a regular expression that
never ends, lets no thread do that: in an executor a timer outside of Python ends its process, and
the attempt is taken over like one whose executor died.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection

from runs import limits
from runs.claims import Held
from runs.declare import Tool

logger = logging.getLogger(__name__)

HARD_SECONDS = 5.0
"""After the grace, until a process of the executor is ended that no thread of Python can end."""

ENDED_FOR_A_TIMEOUT = 75
"""The exit status of a process that had to be ended."""


class AttemptTimedOut(BaseException):
    """The attempt's time is over. Not an `Exception`: an author's `except` must not swallow it."""


class Overrun(BaseException):
    """The outcome of the attempt has been recorded, because its tool did not leave in time."""


def _exit() -> None:
    os._exit(ENDED_FOR_A_TIMEOUT)


_end_process: Callable[[], None] = _exit


def plug_end(end: Callable[[], None] | None) -> None:
    """Names what ends the process of a tool that does not leave; for tests."""
    global _end_process
    _end_process = end or _exit


class Deadline:
    """The time of one attempt, while its tool runs."""

    def __init__(self, tool: Tool, overrun: Callable[[AttemptTimedOut], None], held: Held) -> None:
        self._tool, self._overrun, self._held = tool, overrun, held
        self._began = self._beat_at = time.monotonic()
        self._thread = threading.get_ident()
        self._is_main = threading.current_thread() is threading.main_thread()
        self._cancel: Callable[[], Any] | None = None
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._fired_at = 0.0
        self.fired: AttemptTimedOut | None = None
        self.is_for_the_claim = False
        """Whether it was not the time, but the claim that is over."""
        self.was_raised = False
        self.is_over = False
        self.has_overrun = False

    @property
    def is_timed_outside(self) -> bool:
        """In the worker Celery's own limit does it: a timer costs too much for each safe step."""
        return self._tool.is_remote

    @property
    def hard_seconds(self) -> float:
        """After which a process ends that no thread of Python could end."""
        return self._tool.timeout_seconds + limits.TIMEOUT_GRACE_SECONDS + HARD_SECONDS

    def beat(self) -> None:
        """The tool has shown that it lives."""
        self._beat_at = time.monotonic()

    def cancels(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None) -> None:
        """The tool is this task of an event loop, so it is cancelled instead of interrupted."""
        if task is not None:
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)

    @property
    def due_at(self) -> float:
        """When something is to be done about it, by the monotonic clock."""
        if self.fired is not None:
            return self._fired_at + self._grace_seconds
        if self._held.was_taken:
            return self._began
        at = min(self._began + self._tool.timeout_seconds, self._held.lost_at)
        if self._tool.heartbeat_seconds is not None:
            at = min(at, self._beat_at + self._tool.heartbeat_seconds)
        return at

    def act(self) -> None:
        """For the watchdog, when it is due: asks the tool to leave, or ends its process."""
        with self._lock:
            if self.is_over:
                return
            if self.fired is None:
                if self.due_at > time.monotonic():
                    return  # The claim has been renewed meanwhile.
                self.is_for_the_claim = self._held.is_lost
                self.fired, self._fired_at = AttemptTimedOut(self._words()), time.monotonic()
                self._interrupt()
                return
            self.has_overrun = True
        logger.error("%s did not leave when its time was over; its process ends.", self._tool.name)
        # In a thread of its own, with a connection of its own: the others are still watched.
        threading.Thread(target=self._end, args=[self.fired], daemon=True).start()

    def _end(self, error: AttemptTimedOut) -> None:
        try:
            self._context.run(self._overrun, error)
        except BaseException as failure:
            logger.error("The outcome of %s was not recorded: %s", self._tool.name, failure)
        finally:
            connection.close()
            _end_process()

    def leave(self) -> None:
        """The tool has come back. Raises `Overrun` when it was too late for its outcome."""
        self.is_over = True
        with self._lock:
            if self.fired is not None and not self._is_main:
                _raise_in(self._thread, None)
            if self.has_overrun:
                raise Overrun

    @property
    def _grace_seconds(self) -> float:
        """A claim that is not renewed in time is called lost long enough before it is over."""
        if not self.is_for_the_claim:
            return limits.TIMEOUT_GRACE_SECONDS
        return min(limits.TIMEOUT_GRACE_SECONDS, settings.PLACET_CLAIM_SECONDS / 4)

    def _words(self) -> str:
        if self.is_for_the_claim:
            return (
                f"The claim on {self._held.kind} {self._held.id} is lost: {self._tool.name} ends."
            )
        seconds = self._tool.timeout_seconds
        if self._began + seconds <= time.monotonic():
            return f"{self._tool.name} took longer than {seconds:g} seconds."
        return f"{self._tool.name} gave no heartbeat for {self._tool.heartbeat_seconds:g} seconds."

    def _interrupt(self) -> None:
        if self._cancel is not None:
            try:
                self._cancel()
            except RuntimeError:  # The loop is closed: the tool is on its way out.
                return
        elif self._is_main:
            signal.pthread_kill(self._thread, signal.SIGALRM)
        else:
            _raise_in(self._thread, AttemptTimedOut)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    raised = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


_in_main: Deadline | None = None


def _on_alarm(*_: Any) -> None:
    deadline = _in_main
    if deadline is None or deadline.is_over or deadline.fired is None or deadline.was_raised:
        return
    deadline.was_raised = True
    raise deadline.fired


class Watchdog:
    """The thread that looks after the deadlines of this process. After a fork the child starts
    with an empty one."""

    def __init__(self) -> None:
        self._watched: set[Deadline] = set()
        self._changed = threading.Condition()
        self._looks_at = 0.0
        self._pid = 0

    @contextmanager
    def watching(self, deadline: Deadline) -> Iterator[Deadline]:
        """For as long as the block runs, which calls the tool in this thread."""
        global _in_main
        is_main = threading.current_thread() is threading.main_thread()
        outer = _in_main
        if is_main:
            _in_main = deadline
            if signal.getsignal(signal.SIGALRM) is not _on_alarm:
                signal.signal(signal.SIGALRM, _on_alarm)
        self._add(deadline)
        is_timed = is_main and deadline.is_timed_outside
        if is_timed:
            faulthandler.dump_traceback_later(
                deadline.hard_seconds, exit=True, file=sys.__stderr__ or sys.stderr
            )
        try:
            yield deadline
        finally:
            try:
                deadline.leave()
            finally:
                deadline.is_over = True
                if is_timed:
                    faulthandler.cancel_dump_traceback_later()
                if is_main:
                    _in_main = outer
                with self._changed:
                    self._watched.discard(deadline)

    def _add(self, deadline: Deadline) -> None:
        with self._changed:
            if self._pid != os.getpid():
                self._pid, self._looks_at = os.getpid(), 0.0
                self._watched.clear()
                threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
            self._watched.add(deadline)
            # It looks again by itself, unless this one is due before that.
            if deadline.due_at < self._looks_at:
                self._changed.notify()

    def _watch(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = [deadline for deadline in self._watched if deadline.due_at <= now]
                if not due:
                    soonest = min((d.due_at for d in self._watched), default=now + 60.0)
                    self._looks_at = soonest
                    self._changed.wait(max(0.001, soonest - now))
            for deadline in due:
                deadline.act()
                if deadline.is_over or deadline.has_overrun:
                    with self._changed:
                        self._watched.discard(deadline)


watchdog = Watchdog()
