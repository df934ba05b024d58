"""The journal: what happened in a run, one appended row after the other.

The row of `Claim` is locked for each append, so that a run's events have one order
whoever writes them: worker, executor, gatekeeper or web.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runs import canonical, dispatch, limits, prepared
from runs.errors import Fenced
from runs.models import Run
from runs.telemetry import current_trace_id

# The claim row is locked and counts on, and the event is there, in one round trip.
APPEND = """
    WITH head AS (
        UPDATE runs_claim SET last_seq = last_seq + 1 WHERE run_id = %s RETURNING last_seq, tenant
    )
    INSERT INTO runs_event (tenant, run_id, seq, kind, position, actor, body, trace_id)
    SELECT tenant, %s, last_seq, %s, %s::integer, %s, %s, %s FROM head RETURNING seq, tenant
"""
IF_HELD = "run_id = %s AND fence = %s AND expires_at > clock_timestamp()"
APPEND_FENCED = APPEND.replace("run_id = %s", IF_HELD)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A step as the journal knows it when a slice begins."""

    id: UUID
    position: int
    kind: str
    name: str
    status: str
    digest: bytes
    attempt: int
    failures: int
    result: bytes | None
    """Its canonical bytes; None when it has none, or is so large that it lies apart."""
    error: dict[str, Any] | None
    is_due: bool
    has_deadline: bool = False
    left_seconds: float | None = None
    """Until the end of all its attempts."""
    is_apart: bool = False
    """Whether its result lies apart."""


def append(
    run_id: UUID,
    kind: str,
    body: dict[str, Any],
    *,
    position: int | None = None,
    actor: str = "",
    fence: int | None = None,
) -> int:
    """Appends an event inside the caller's transaction; returns its sequence number.

    With a `fence`, only for the holder of that fence whose claim is still running:
    raises `Fenced` otherwise. Takes the lock on the run's claim row in any case.
    """
    statement, holder = (APPEND, []) if fence is None else (APPEND_FENCED, [fence])
    encoded, trace = canonical.encode(body), current_trace_id.get()
    with prepared.cursor() as cursor:
        cursor.execute(statement, [run_id, *holder, run_id, kind, position, actor, encoded, trace])
        row = cursor.fetchone()
    if row is None:
        raise Fenced(f"The claim on run {run_id} with fence {fence} is lost.")
    seq, tenant = row
    dispatch.show(tenant, "run", run_id, seq)
    return int(seq)


def load(run_id: UUID) -> dict[int, Entry]:
    """The steps of a run by position."""
    with prepared.cursor() as cursor:
        cursor.execute(
            """
            SELECT id, position, kind, name, status, digest, attempt, failures,
                   CASE WHEN octet_length(result) <= %s THEN result END, error,
                   not_before IS NULL OR not_before <= clock_timestamp(), not_before IS NOT NULL,
                   extract(epoch FROM give_up_at - clock_timestamp())::double precision,
                   coalesce(octet_length(result) > %s, false)
            FROM runs_step WHERE run_id = %s
            """,
            [limits.APART_BYTES, limits.APART_BYTES, run_id],
        )
        return {row[1]: _entry(row) for row in cursor.fetchall()}


def result_of(entry: Entry) -> bytes:
    """The canonical bytes of a step's result; `null` when it has none.

    What is larger than `limits.APART_BYTES` lies apart from the rows (PostgreSQL's TOAST), is
    left there when a slice begins, and is read when the workflow comes to it.
    """
    if not entry.is_apart:
        return entry.result or b"null"
    with prepared.cursor() as cursor:
        cursor.execute("SELECT result FROM runs_step WHERE id = %s", [entry.id])
        return bytes(cursor.fetchone()[0])


def _entry(row: tuple[Any, ...]) -> Entry:
    id, position, kind, name, status, digest, attempt, failures, result, error, *more = row
    is_due, has_deadline, left_seconds, is_apart = more
    return Entry(
        id=id,
        position=position,
        kind=kind,
        name=name,
        status=status,
        digest=bytes(digest),
        attempt=attempt,
        failures=failures,
        result=None if result is None else bytes(result),
        error=_json(error),
        is_due=is_due,
        has_deadline=has_deadline,
        left_seconds=left_seconds,
        is_apart=is_apart,
    )


def _json(value: Any) -> Any:
    return canonical.decode(value.encode()) if isinstance(value, str) else value


RUN = prepared.Columns(Run)


def load_run(run_id: UUID) -> Run:
    """The row of a run, without what Django needs to put the question together each time."""
    with prepared.cursor() as cursor:
        cursor.execute(f"SELECT {RUN.of('r')} FROM runs_run r WHERE r.id = %s", [run_id])
        row = cursor.fetchone()
    if row is None:
        raise Run.DoesNotExist(f"There is no run {run_id}.")
    run: Run = RUN.row(row)
    return run
