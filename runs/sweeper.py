"""The loop around the sweeps: a thread in each Celery parent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import connection

logger = logging.getLogger(__name__)

Sweep = Callable[[], int]


class Seldom:
    """A sweep that does its work only so often, however often it is called."""

    def __init__(self, sweep: Sweep, seconds: float) -> None:
        self._sweep, self._seconds = sweep, seconds
        self._due_at = 0.0

    def __call__(self) -> int:
        if time.monotonic() < self._due_at:
            return 0
        self._due_at = time.monotonic() + self._seconds
        return self._sweep()


class Sweeper(threading.Thread):
    """Runs its sweeps every `PLACET_SWEEP_SECONDS`, in each process that has one.

    Every sweep may run anywhere and at the same time as its twins: what it does is guarded
    in the database. So no process that hangs with a lock can keep the others from sweeping.
    """

    def __init__(self, name: str, sweeps: Sequence[Sweep]) -> None:
        super().__init__(name=f"sweep-{name}", daemon=True)
        self._sweeps = sweeps
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.wait(settings.PLACET_SWEEP_SECONDS):
            self.sweep()
        connection.close()

    def sweep(self) -> int:
        """One pass over all sweeps; one that fails does not keep the others from theirs."""
        return sum(self._attempt(sweep) for sweep in self._sweeps)

    def _attempt(self, sweep: Sweep) -> int:
        try:
            return sweep()
        except Exception as error:
            logger.warning("%s: %s; it is tried again.", self.name, error)
            connection.close()
            return 0
