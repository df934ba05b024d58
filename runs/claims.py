"""Claims: who may write a run or a step now, kept by a rising fence and the database's clock.

A claim is renewed by a thread of the process that holds it, never by the step it runs, so a
long step keeps its claim and a dead process loses it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import connection
from psycopg.errors import LockNotAvailable

from runs import holders, journal, limits, prepared
from runs.errors import Fenced
from runs.models import Run

logger = logging.getLogger(__name__)

# Both rows are locked before the claim is taken, so that a run which somebody pauses at this
# moment is not left with a claim that nobody holds. A run that is to be terminated is taken from
# whoever holds it: its end does not wait for a step that hangs. A run that is still `running` has
# lost its worker; how often so at the same place in its journal is counted.
TAKE = """
    WITH free AS (
        SELECT c.run_id, r.status = 'running' AS was_lost
        FROM runs_claim c JOIN runs_run r ON r.id = c.run_id
        {which}
    ), taken AS (
        UPDATE runs_claim c
        SET fence = c.fence + 1, holder = %(holder)s,
            expires_at = clock_timestamp() + %(seconds)s * interval '1 second',
            deaths = CASE WHEN NOT free.was_lost THEN 0
                WHEN c.deaths > 0 AND c.died_at = c.last_seq THEN c.deaths + 1 ELSE 1 END,
            died_at = c.last_seq
        FROM free WHERE c.run_id = free.run_id
        RETURNING c.run_id, c.fence, c.last_seq, c.deaths
    )
    UPDATE runs_run r
    SET status = 'running', started_at = coalesce(r.started_at, clock_timestamp()),
        waiting_for = '', waiting_since = NULL, wake_at = NULL, error = NULL
    FROM taken WHERE r.id = taken.run_id
    RETURNING taken.fence, taken.last_seq, taken.deaths, {columns}
""".replace("{columns}", journal.RUN.of("r"))
THIS_RUN = """
        WHERE c.run_id = %(run)s AND r.status IN ('ready', 'running')
          AND ((c.expires_at IS NULL OR c.expires_at <= clock_timestamp())
                  AND (%(is_suspect)s OR NOT {suspect})
               OR r.terminate_requested_at IS NOT NULL)
        FOR NO KEY UPDATE OF c, r
"""
# A run that has lost a process for the second time at the same place of its journal.
SUSPECT = "(r.status = 'running' AND c.deaths > 0 AND c.died_at = c.last_seq)"
IS_SUSPECT = f"""
    SELECT FROM runs_claim c JOIN runs_run r ON r.id = c.run_id
    WHERE c.run_id = %s AND {SUSPECT}
      AND (c.expires_at IS NULL OR c.expires_at <= clock_timestamp())
"""
# Who comes at the same moment takes the one after it: what is locked is being taken.
NEXT_RUN = """
        WHERE r.status = 'ready' AND (c.expires_at IS NULL OR c.expires_at <= clock_timestamp())
        ORDER BY r.ready_at, r.id LIMIT 1
        FOR NO KEY UPDATE OF c, r SKIP LOCKED
"""
TAKE_RUN = TAKE.replace("{which}", THIS_RUN.replace("{suspect}", SUSPECT))
TAKE_NEXT = TAKE.replace("{which}", NEXT_RUN)
RENEW_PATIENCE = "SET lock_timeout = 1000"
RENEW = {
    "run": """
        UPDATE runs_claim SET expires_at = clock_timestamp() + %s * interval '1 second'
        WHERE run_id = %s AND fence = %s AND expires_at > clock_timestamp()
    """,
    "step": """
        UPDATE runs_stepclaim SET expires_at = clock_timestamp() + %s * interval '1 second'
        WHERE step_id = %s AND fence = %s AND expires_at > clock_timestamp()
    """,
}


@dataclass(eq=False)
class Held:
    """A claim that this process holds."""

    kind: Literal["run", "step"]
    id: UUID
    fence: int
    renewed_at: float = field(default_factory=time.monotonic)
    was_taken: bool = False
    deaths: int = 0
    """Of a run: workers that were lost one after the other, with nothing done in between."""
    last_seq: int = 0
    """How many events the run's journal had when it was claimed."""
    run: Run | None = None
    """Of a run: its row, as it was when it was claimed."""
    went_on_at: float = field(default_factory=time.monotonic)
    """When whoever holds it last began or recorded something."""

    @property
    def age_seconds(self) -> float:
        """Since the last renewal was sent; the database may have begun to count later."""
        return time.monotonic() - self.renewed_at

    @property
    def is_lost(self) -> bool:
        """Taken by another, or so old that it may be at any moment. Told by age, so that a
        renewal that hangs cannot hide it."""
        return self.was_taken or time.monotonic() >= self.lost_at

    @property
    def is_stuck(self) -> bool:
        """Whether a workflow's own code, which nothing else ends, does not come back. A step has
        a time of its own, which is shorter."""
        stood = time.monotonic() - self.went_on_at
        return self.kind == "run" and stood > limits.STUCK_SECONDS

    @property
    def lost_at(self) -> float:
        """When the claim is lost unless it is renewed before, by the monotonic clock."""
        return self.renewed_at + settings.PLACET_CLAIM_SECONDS * 2 / 3

    def check(self) -> None:
        """Raises `Fenced` when the claim is lost: then nothing more may be started under it."""
        if self.is_lost:
            raise Fenced(f"The claim on {self.kind} {self.id} with fence {self.fence} is lost.")


def take_run(run_id: UUID, *, is_suspect: bool = True) -> Held | None:
    """Claims a run that is ready, or whose holder's claim has ended; None when it is not so.

    With `is_suspect=False` not one that has lost a process twice at the same place.
    """
    return _take(TAKE_RUN, {"run": run_id, "is_suspect": is_suspect})


def is_suspect(run_id: UUID) -> bool:
    """Whether a run that nobody holds has lost a process twice at the same place."""
    with prepared.cursor() as cursor:
        cursor.execute(IS_SUSPECT, [run_id])
        return cursor.fetchone() is not None


def take_next() -> Held | None:
    """Claims the run that has been ready longest and that nobody is claiming at this moment."""
    return _take(TAKE_NEXT, {})


def _take(statement: str, which: dict[str, Any]) -> Held | None:
    holder = {"holder": holders.me(), "seconds": settings.PLACET_CLAIM_SECONDS}
    with prepared.cursor() as cursor:
        cursor.execute(statement, which | holder)
        row = cursor.fetchone()
    if row is None:
        return None
    fence, last_seq, deaths, *columns = row
    run: Run = journal.RUN.row(columns)
    return Held("run", run.id, fence, last_seq=last_seq, deaths=deaths, run=run)


def _exit() -> None:
    os._exit(ENDED_STUCK)


ENDED_STUCK = 76
"""The exit status of a process whose workflow does not come back."""
_end_process: Callable[[], None] = _exit


class Keeper:
    """The thread that renews what this process holds, three times within a claim's life.

    It starts with the first claim that lives long enough to need it, and has a database
    connection of its own. After a fork the child starts with an empty one.
    """

    def __init__(self) -> None:
        self._held: set[Held] = set()
        self._changed = threading.Lock()
        self._pid = 0
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, held: Held) -> Iterator[Held]:
        """Renews the claim for as long as the block runs."""
        with self._changed:
            self._start()
            self._held.add(held)
        try:
            yield held
        finally:
            with self._changed:
                self._held.discard(held)

    def _start(self) -> None:
        if self._pid != os.getpid():
            self._pid, self._thread = os.getpid(), None
            self._held.clear()
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._renew_for_ever, name="claim-keeper", daemon=True
            )
            self._thread.start()

    def replace_thread(self) -> None:
        """Lets another thread, with a connection of its own, renew from the next claim on: for
        tests, which act under one role after the other."""
        self._thread = None

    def _renew_for_ever(self) -> None:
        while True:
            time.sleep(settings.PLACET_CLAIM_SECONDS / 6)
            if self._thread is not threading.current_thread():
                break
            with self._changed:
                due = [h for h in self._held if h.age_seconds >= settings.PLACET_CLAIM_SECONDS / 3]
            for held in due:
                if held.is_stuck:
                    logger.error("%s %s stands still; its process ends.", held.kind, held.id)
                    _end_process()
                else:
                    self._renew(held)
        connection.close()

    def _renew(self, held: Held) -> None:
        """Tries twice: the connection may have been cut since the last renewal."""
        for _ in range(2):
            sent_at = time.monotonic()
            try:
                with prepared.cursor() as cursor:
                    cursor.execute(RENEW_PATIENCE)
                    cursor.execute(
                        RENEW[held.kind], [settings.PLACET_CLAIM_SECONDS, held.id, held.fence]
                    )
                    held.was_taken = cursor.rowcount != 1
                held.renewed_at = sent_at
                break
            except Exception as error:
                if isinstance(error.__cause__, LockNotAvailable):
                    # Somebody stands with its lock; the others are not to be lost for that.
                    break
                logger.warning("The claim on %s %s was not renewed: %s", held.kind, held.id, error)
                connection.close()
        if held.is_lost:
            logger.error("fenced: the claim on %s %s is lost.", held.kind, held.id)


keeper = Keeper()
