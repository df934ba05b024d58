"""Children: runs that a run has started, whose results come back, and whose end it may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from runs import limits, steering
from runs.errors import Refused
from runs.models import Claim, Run
from runs.points import reach
from runs.transitions import rows

PARENT_ENDED = "The run that started it has ended."


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a child came to."""

    status: str
    result: bytes | None
    kind: str
    message: str


def id_of(parent: Run, position: int) -> UUID:
    """The child that the step at this position started.

    A fork has no children of its own at the positions that it copied: the run that it was
    forked from has them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE line AS (
                SELECT id, forked_from_id FROM runs_run WHERE id = %(run)s
                UNION ALL
                SELECT r.id, r.forked_from_id
                FROM runs_run r JOIN line ON r.id = line.forked_from_id
            )
            SELECT c.id FROM runs_run c JOIN line ON c.parent_id = line.id
            WHERE c.tenant = %(tenant)s AND c.parent_position = %(position)s
            ORDER BY c.parent_id = %(run)s DESC LIMIT 1
            """,
            {"run": parent.id, "tenant": parent.tenant, "position": position},
        )
        row = cursor.fetchone()
    found: UUID = row[0]
    return found


def outcome_of(child_id: UUID) -> Ended | None:
    """What a child came to; None while it goes on. A child that went on in a new run has
    ended when that one has."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE line AS (
                SELECT id FROM runs_run WHERE id = %s
                UNION ALL
                SELECT r.id FROM runs_run r JOIN line ON r.continued_from_id = line.id
            )
            SELECT r.status, r.result, r.error->>'kind', r.error->>'message', r.workflow
            FROM runs_run r JOIN line ON line.id = r.id
            WHERE NOT EXISTS (SELECT FROM runs_run n WHERE n.continued_from_id = r.id)
              AND r.finished_at IS NOT NULL
            """,
            [child_id],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    status, result, kind, message, workflow = row
    return Ended(
        status=status,
        result=None if result is None else bytes(result),
        kind=kind or status.capitalize(),
        message=message or f"The run of {workflow} was {status}.",
    )


def tell_family(run_id: UUID) -> None:
    """After a run has ended: wakes the run that waits for it, and asks its own children to end.

    Each in a transaction of its own: nobody ever holds the claim rows of two runs.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE line AS (
                SELECT id, tenant, parent_id, continued_from_id FROM runs_run WHERE id = %s
                UNION ALL
                SELECT r.id, r.tenant, r.parent_id, r.continued_from_id
                FROM runs_run r JOIN line ON r.id = line.continued_from_id
            )
            SELECT (SELECT parent_id FROM line WHERE parent_id IS NOT NULL LIMIT 1), EXISTS (
                SELECT FROM runs_run c JOIN line ON c.tenant = line.tenant
                    AND c.parent_id = line.id
                WHERE c.finished_at IS NULL AND NOT c.is_detached)
            """,
            [run_id],
        )
        parent_id, has_children = cursor.fetchone()
    if parent_id is not None:
        look_again(parent_id)
    if has_children:
        cancel_children(run_id)


def look_again(run_id: UUID) -> None:
    """Wakes a run if what it waits for has come."""
    with transaction.atomic(), connection.cursor() as cursor:
        Claim.objects.select_for_update(no_key=True).get(run_id=run_id)
        rows.wake_if_over(cursor, run_id)
    reach("committed:parent.told")


def cancel_children(parent_id: UUID) -> int:
    """Asks the children that are not detached to end, because their parent ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id FROM runs_run WHERE parent_id = %s AND NOT is_detached
              AND finished_at IS NULL AND cancel_requested_at IS NULL
            LIMIT %s
            """,
            [parent_id, limits.MAX_CHILDREN],
        )
        found = [row[0] for row in cursor.fetchall()]
    return sum(_cancel(child_id) for child_id in found)


def _cancel(child_id: UUID) -> bool:
    child = Run.objects.get(pk=child_id)
    try:
        return steering.request_cancel(run=child, actor="engine", reason=PARENT_ENDED)
    except Refused:
        # It has ended meanwhile, or ends already.
        return False


def find_untold() -> int:
    """Sweep: parents that wait for a child which has ended, and children that were left behind
    by a parent that has; both are what a process that died just then did not say."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT p.id FROM runs_step s
            JOIN runs_run p ON p.id = s.run_id AND p.status = 'waiting'
            JOIN runs_run c ON c.tenant = s.tenant AND c.parent_id = p.id
                AND c.parent_position = s.position
            WHERE s.status = 'waiting' AND s.kind = 'child' AND c.finished_at IS NOT NULL
            LIMIT %s
            """,
            [limits.SWEEP_BATCH],
        )
        parents = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            """
            SELECT DISTINCT c.parent_id FROM runs_run c JOIN runs_run p ON p.id = c.parent_id
            WHERE c.finished_at IS NULL AND NOT c.is_detached AND c.cancel_requested_at IS NULL
              AND p.finished_at IS NOT NULL
            LIMIT %s
            """,
            [limits.SWEEP_BATCH],
        )
        left = [row[0] for row in cursor.fetchall()]
    for parent_id in parents:
        look_again(parent_id)
    return sum(cancel_children(parent_id) for parent_id in left)
