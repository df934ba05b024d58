"""What a long tool tells of itself while it runs: that it lives, how far it is, where it was.

Written for the holder of the step's claim only, and at most every `limits.BEAT_SECONDS`; what was
told last is written when the attempt ends. Details outlive the attempt: the next one finds them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from runs import canonical, dispatch, limits
from runs.claims import Held
from runs.errors import Fenced, PayloadTooLarge

logger = logging.getLogger(__name__)

WRITE = """
    WITH beat AS (
        UPDATE runs_stepclaim SET beat_at = clock_timestamp(),
            details = coalesce(%(details)s, details),
            progress_done = coalesce(%(done)s, progress_done),
            progress_total = coalesce(%(total)s, progress_total),
            progress_note = coalesce(%(note)s, progress_note)
        WHERE step_id = %(step)s AND fence = %(fence)s AND expires_at > clock_timestamp()
        RETURNING step_id, tenant
    )
    SELECT beat.tenant, r.id,
        r.cancel_requested_at IS NOT NULL OR r.terminate_requested_at IS NOT NULL
    FROM beat JOIN runs_step s ON s.id = beat.step_id JOIN runs_run r ON r.id = s.run_id
"""
IS_ENDING = """
    SELECT cancel_requested_at IS NOT NULL OR terminate_requested_at IS NOT NULL
    FROM runs_run WHERE id = %s
"""


class Beats:
    """The beats of one attempt of the executor."""

    def __init__(self, held: Held, scrub: Callable[[Any], Any]) -> None:
        self._held, self._scrub = held, scrub
        self._pending: dict[str, Any] = {}
        self._written_at = time.monotonic() - limits.BEAT_SECONDS
        self.is_cancelled = False

    def tell(self, **told: Any) -> None:
        """Raises `Fenced` when the claim is lost."""
        if self._held.is_lost:
            raise Fenced(f"The claim on step {self._held.id} is lost.")
        self._pending |= told
        if time.monotonic() - self._written_at >= limits.BEAT_SECONDS:
            self._write()

    def details(self, value: Any) -> bytes:
        """The details of a heartbeat, as they are kept. Raises `PayloadTooLarge`."""
        encoded = canonical.encode(self._scrub(value))
        if len(encoded) > limits.MAX_DETAILS_BYTES:
            raise PayloadTooLarge(
                f"The details of a heartbeat are {len(encoded)} bytes long; at most"
                f" {limits.MAX_DETAILS_BYTES} are kept."
            )
        return encoded

    def note(self, text: str) -> str:
        return str(self._scrub(text))[: limits.MAX_NOTE_CHARACTERS]

    def flush(self) -> None:
        """Writes what was told since the last beat that was written."""
        if self._pending and not self._held.is_lost:
            self._write()

    def _write(self) -> None:
        values = {"details": None, "done": None, "total": None, "note": None} | self._pending
        self._written_at = time.monotonic()
        try:
            row = outside_of_loops(
                lambda: _row(WRITE, values | {"step": self._held.id, "fence": self._held.fence})
            )
        except (OperationalError, InterfaceError) as error:
            # The tool goes on: that nobody hears it is no error of its own, and if it lasts,
            # the claim is lost.
            logger.warning("A heartbeat of step %s was not heard: %s", self._held.id, error)
            connection.close()
            return
        if row is None:
            raise Fenced(f"The claim on step {self._held.id} is lost.")
        self._pending = {}
        tenant, run_id, self.is_cancelled = row
        dispatch.show(tenant, "run", run_id, 0)


class RunBeats:
    """The same for a safe tool in the worker: only whether its run is to end."""

    def __init__(self, run_id: UUID) -> None:
        self._run_id = run_id
        self._asked_at = time.monotonic() - limits.BEAT_SECONDS
        self.is_cancelled = False

    def tell(self) -> None:
        if time.monotonic() - self._asked_at < limits.BEAT_SECONDS:
            return
        row = outside_of_loops(lambda: _row(IS_ENDING, [self._run_id]))
        self._asked_at = time.monotonic()
        self.is_cancelled = bool(row and row[0])


def _row(query: str, values: Any) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def outside_of_loops(ask: Callable[[], tuple[Any, ...] | None]) -> tuple[Any, ...] | None:
    """Asks the database, from an `async def` in a thread: its own connection is of no use there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return ask()

    def alone() -> tuple[Any, ...] | None:
        try:
            return ask()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(alone).result()
