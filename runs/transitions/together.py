"""Group commit: steps that several runs of one process record at the same moment share one.

Each is still committed before its run goes on, and each proves its own fence. Whoever comes while
a commit is on its way waits for the next one; the first of those who wait writes for all of them.
Who is alone writes at once, and waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled

from runs import prepared
from runs.transitions import rows

MOST = 64
"""Steps in one commit."""

# What `recording.RECORD` does for a step that has ended well and takes no message, for many. A run
# whose claim somebody else has locked is left out, so that nobody waits for the sake of another.
RECORD_MANY = """
    WITH given AS (
        SELECT * FROM unnest(
            %(run)b::uuid[], %(fence)s::bigint[], %(id)b::uuid[], %(position)s::integer[],
            %(kind)s::text[], %(name)s::text[], %(event)s::text[], %(arguments)b::bytea[],
            %(digest)b::bytea[], %(key)s::text[], %(attempt)s::integer[], %(failures)s::integer[],
            %(took)s::double precision[], %(result)b::bytea[], %(body)b::bytea[], %(trace)s::text[]
        ) AS one (run, fence, id, position, kind, name, event, arguments, digest, key, attempt,
                  failures, took, result, body, trace)
    ), free AS (
        SELECT c.run_id, c.fence FROM runs_claim c JOIN given ON c.run_id = given.run
        WHERE c.fence = given.fence AND c.expires_at > clock_timestamp()
        FOR NO KEY UPDATE OF c SKIP LOCKED
    ), head AS (
        UPDATE runs_claim c SET last_seq = last_seq + 1
        FROM given JOIN free ON free.run_id = given.run AND free.fence = given.fence
        WHERE c.run_id = free.run_id
        RETURNING c.tenant, c.last_seq, given.*
    ), step AS (
        INSERT INTO runs_step (
            id, tenant, run_id, position, kind, name, effect, is_money, is_remote, status,
            arguments, digest, key, attempt, failures, result, held_because, created_at,
            started_at, finished_at)
        SELECT id, tenant, run, position, kind, name, 'safe', false, false, 'succeeded',
            arguments, digest, key, attempt, failures, result, '', clock_timestamp(),
            clock_timestamp() - took * interval '1 second', clock_timestamp()
        FROM head
        ON CONFLICT (run_id, position) DO UPDATE SET
            status = excluded.status, attempt = excluded.attempt, failures = excluded.failures,
            not_before = NULL, result = excluded.result, error = NULL,
            started_at = least(runs_step.started_at, excluded.started_at),
            finished_at = excluded.finished_at
        WHERE runs_step.status IN ('ready', 'waiting', 'paused')
        RETURNING run_id
    ), event AS (
        INSERT INTO runs_event (tenant, run_id, seq, kind, position, actor, body, trace_id)
        SELECT tenant, run, last_seq, event, position, 'worker',
            CASE WHEN step.run_id IS NOT NULL THEN body END, trace
        FROM head LEFT JOIN step ON step.run_id = head.run
    )
    SELECT head.id, head.tenant, head.last_seq, {asked}
    FROM head JOIN runs_run r ON r.id = head.run
""".replace("{asked}", rows.ASKED)
COLUMNS = (
    *("run", "fence", "id", "position", "kind", "name", "event", "arguments"),
    *("digest", "key", "attempt", "failures", "result", "body", "trace"),
)

Values = Mapping[str, Any]


class _Part:
    """One step that waits to be written, and what became of it."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.is_over = False
        self.is_refused = False
        """Whether the database refused the statement, maybe for the sake of another part."""
        self.written: tuple[Any, ...] | None = None
        self.error: BaseException | None = None
        self.turn = threading.Lock()
        self.turn.acquire()


class Together:
    """The steps of this process that are on their way to the database."""

    def __init__(self) -> None:
        self._changed = threading.Lock()
        self._waiting: list[_Part] = []
        self._is_led = False

    def write(self, values: Values, alone: str) -> tuple[Any, ...] | None:
        """Commits a step, with others or by the statement `alone`; returns what that returns, or
        None when the claim of its run is lost.

        Raises what the database said of it, or that the connection was lost: then nobody knows
        whether the step is there.
        """
        part = self._joined(values)
        if not part.is_over:
            with self._leading() as parts:
                if len(parts) == 1:
                    return write_alone(values, alone)
                _settle(parts)
        if part.error is not None and not part.is_refused:
            raise part.error
        # Who was left out hears what it is about: a lock to wait for, or a claim that is lost.
        return part.written or write_alone(values, alone)

    def _joined(self, values: Values) -> _Part:
        """The part of whoever calls, once it is over, or it is this one's turn to lead."""
        part = _Part(values)
        with self._changed:
            leads, self._is_led = not self._is_led, True
            self._waiting.append(part)
        if not leads:
            part.turn.acquire()
        return part

    @contextmanager
    def _leading(self) -> Iterator[list[_Part]]:
        """Those who wait, the leader's own first; then they go on, and the next one leads."""
        with self._changed:
            parts, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            yield parts
        finally:
            with self._changed:
                follower = self._waiting[0] if self._waiting else None
                self._is_led = follower is not None
            for part in parts:
                part.is_over = True
                part.turn.release()
            if follower is not None:
                follower.turn.release()


def _settle(parts: Sequence[_Part]) -> None:
    """Writes several steps with one commit; each part knows afterwards what became of it."""
    try:
        written = _write_many([part.values for part in parts])
    except BaseException as error:
        # Where the connection was not lost, the statement did nothing for any of them.
        is_lost = isinstance(error, OperationalError | InterfaceError) and not isinstance(
            error.__cause__, (DeadlockDetected, LockNotAvailable, QueryCanceled)
        )
        for part in parts:
            part.is_refused = isinstance(error, DatabaseError) and not is_lost
            part.error = error
    else:
        for part in parts:
            part.written = written.get(part.values["id"])


def write_alone(values: Values, alone: str) -> tuple[Any, ...] | None:
    """Carries out a statement for one step; what it returns, or None when it did nothing."""
    with prepared.cursor() as cursor:
        cursor.execute(alone, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def _write_many(many: Sequence[Values]) -> dict[UUID, tuple[Any, ...]]:
    columns: dict[str, Any] = {name: [values[name] for values in many] for name in COLUMNS}
    columns["took"] = [values["took"].total_seconds() for values in many]
    with prepared.cursor() as cursor:
        cursor.execute(RECORD_MANY, columns)
        return {row[0]: row[1:] for row in cursor.fetchall()}


def is_possible(values: Values) -> bool:
    """Whether a step is of those that others may be written with: it ended well, with nothing
    to wait for, outside of any transaction of its caller."""
    return (
        values["status"] == "succeeded"
        and not values["is_fresh"]
        and all(values[name] is None for name in ("takes", "wait", "until", "give_up", "error"))
        and not connection.in_atomic_block
    )


together = Together()
