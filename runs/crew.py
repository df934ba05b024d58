"""Slices of several runs at once in one process, each in a thread with a connection of its own.

A slice mostly waits: for a commit, or for what a safe tool asks of the outside. Threads wait side
by side, and what they commit at the same moment shares one commit (`transitions.together`).

A process that dies takes all its slices with it, and nobody can tell which of them was to blame.
So a run that has lost a process twice at the same place is run alone: what dies then was at fault
itself, and the others are not called poison for its sake.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from django.db import connection

from runs import prepared

logger = logging.getLogger(__name__)

IDLE_SECONDS = 10.0
"""How long a thread waits for more before it ends, and its connection with it."""
BUSY_SECONDS = 1.0
"""How long a hint waits for a thread; as long, a process that is to end waits for it."""
ALONE_SECONDS = 30.0
"""How long such a run waits for the others to be out of its way; nobody holds it meanwhile."""

IsEnding = Callable[[], bool]
Drain = Callable[[UUID | None, IsEnding], object]


class Company:
    """Who runs beside whom in this process: many together, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._together = 0
        self._is_one_alone = False
        self._suspects: set[UUID] = set()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Beside others; waits while one is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_one_alone)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, who: UUID) -> Iterator[bool]:
        """Beside nobody, or, where others are still there after `ALONE_SECONDS`, beside those.
        Gives False at once where the same one waits for that already."""
        with self._changed:
            is_first = who not in self._suspects
            if is_first:
                self._suspects.add(who)
                self._changed.wait_for(lambda: not self._is_one_alone)
                self._is_one_alone = True
                self._changed.wait_for(lambda: self._together == 0, ALONE_SECONDS)
        try:
            yield is_first
        finally:
            with self._changed:
                if is_first:
                    self._suspects.discard(who)
                    self._is_one_alone = False
                    self._changed.notify_all()


company = Company()


class Crew:
    """Up to `size` threads, begun when there is something for them to do.

    `drain` is what each does with a hint, and then with whatever else is ready, for a while, or
    until `is_ending` says so. After that it takes the next hint: what only a hint leads to, such
    as a run that was lost, does not wait until there is nothing else to do.
    """

    def __init__(self, size: int, drain: Drain) -> None:
        self._size, self._drain = size, drain
        self._hints: queue.SimpleQueue[UUID | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._threads = self._idle = 0
        self._is_ending = threading.Event()

    def work_off(self, hints: Iterable[UUID | None]) -> None:
        """Hands over one hint after the other. One that comes while all threads are busy, and are
        still after `BUSY_SECONDS`, is dropped: it is a hint, and the sweep sends another."""
        for hint in hints:
            self._hand_over(hint)

    def end(self, seconds: float) -> bool:
        """Begins nothing more, and waits for what is being done; whether all of it has ended."""
        self._is_ending.set()
        with self._changed:
            return self._changed.wait_for(lambda: self._idle == self._threads, seconds)

    def _hand_over(self, hint: UUID | None) -> None:
        with self._changed:
            is_free = self._changed.wait_for(
                lambda: self._idle > 0 or self._threads < self._size, BUSY_SECONDS
            )
            if not is_free:
                return
            if self._idle > 0:
                self._idle -= 1
            else:
                threading.Thread(target=self._work, name="slices", daemon=True).start()
                self._threads += 1
            self._hints.put(hint)

    def _work(self) -> None:
        while True:
            try:
                hint = self._hints.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                if self._leaves():
                    break
            else:
                self._do(hint)
        connection.close()

    def _leaves(self) -> bool:
        """Whether a thread that had nothing to do ends; one stays, with its connection."""
        with self._changed:
            if self._threads == 1 or not self._hints.empty():
                return False
            self._threads, self._idle = self._threads - 1, self._idle - 1
            return True

    def _do(self, hint: UUID | None) -> None:
        try:
            prepared.look_at_connections()
            self._drain(hint, self._is_ending.is_set)
        except BaseException:
            # The thread lives on; what it began is done again by whoever finds the run.
            logger.exception("A slice was broken off; its run will be taken up again.")
            with suppress(Exception):
                connection.close()
        finally:
            with self._changed:
                self._idle += 1
                self._changed.notify_all()
