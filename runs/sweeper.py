"""The loop around the sweeps: a thread in each Celery parent, one at a time by an advisory lock."""

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
    """Runs its sweeps every `PLACET_SWEEP_SECONDS`, while it holds the lock of its name.

    The lock belongs to the database session: when this process dies, another takes over.
    What only this process can see (its neighbours' deaths) it looks for without the lock.
    """

    def __init__(
        self, name: str, lock: int, sweeps: Sequence[Sweep], *, own: Sequence[Sweep] = ()
    ) -> None:
        super().__init__(name=f"sweep-{name}", daemon=True)
        self._lock, self._sweeps, self._own = lock, sweeps, own
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.wait(settings.PLACET_SWEEP_SECONDS):
            try:
                for look in self._own:
                    look()
                if self._has_lock():
                    self.sweep()
            except Exception as error:
                logger.warning("%s: %s; it is tried again.", self.name, error)
                connection.close()
        connection.close()

    def sweep(self) -> int:
        """One pass over all sweeps; returns how much was found."""
        return sum(sweep() for sweep in self._sweeps)

    def _has_lock(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'"
                " AND pid = pg_backend_pid() AND objid = %s AND granted)"
                " OR pg_try_advisory_lock(%s)",
                [self._lock, self._lock],
            )
            return bool(cursor.fetchone()[0])
