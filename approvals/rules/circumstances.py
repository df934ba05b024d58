"""What rows say about a request: the circumstances that rules are evaluated on.

Three statements at most, in rows of one tenant, and no more of them than the limits say. A sum
counts what is open and approved as well as what was made, whoever opened it a moment ago: two
requests that look at the same sum at once must not both slip under it, so whoever opens a gate
takes `policies.lock` first, then the moment of its request, and keeps the lock until its gate is
committed. For a moment in the past (`until`), rows are counted as they stood then, so far as they
tell.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from approvals import limits
from approvals.models import Gate
from approvals.rules.facts import Circumstances, Needs, Request, Sum, Summed
from runs import canonical

# A sum counts what was made within its window, and all that may still be made: what is underway,
# in doubt included, and what waits for people. What was approved before the window began has
# been started within `limits.CLEARANCE_SECONDS`, or never will be. A step that people skipped has
# succeeded without a payment. The payee of a payment has no other white than the space, see
# `canonical.strict`. A canary is never paid, so it is in no sum.
# A run is one with those that it came from and that came from it: were its children, or what it
# continues as, runs of their own here, an agent would begin a new sum whenever it liked.
SUMS = """
WITH RECURSIVE above AS (
    SELECT id, parent_id, continued_from_id, forked_from_id
    FROM runs_run WHERE id = %(run)s::uuid AND tenant = %(tenant)s
    UNION
    SELECT r.id, r.parent_id, r.continued_from_id, r.forked_from_id FROM runs_run r JOIN above a
        ON r.id IN (a.parent_id, a.continued_from_id, a.forked_from_id)
), family AS (
    SELECT id FROM above
    UNION
    SELECT r.id FROM family f CROSS JOIN LATERAL (
        SELECT id FROM runs_run WHERE tenant = %(tenant)s AND parent_id = f.id
        UNION ALL SELECT id FROM runs_run WHERE continued_from_id = f.id
        UNION ALL SELECT id FROM runs_run WHERE forked_from_id = f.id) r
), asked AS (
    SELECT coalesce(%(until)s::timestamptz, 'infinity') AS until,
           replace(lower(%(payee)s), ' ', '') AS payee
), closed AS MATERIALIZED (
    SELECT g.id, g.run_id, g.step_id, g.status, g.payee, g.amount_minor, g.currency, g.opened_at,
           g.closed_at
    FROM approvals_gate g
    WHERE g.tenant = %(tenant)s AND g.status <> 'open' AND g.closed_at > %(since)s
    ORDER BY g.closed_at DESC LIMIT %(most)s
), counted AS MATERIALIZED (
    SELECT g.id, g.run_id, g.payee, g.amount_minor, g.currency, NULL::timestamptz AS made_at
    FROM approvals_gate g, asked
    WHERE g.tenant = %(tenant)s AND g.status = 'open' AND g.opened_at < asked.until
          AND g.expires_at > least(asked.until, clock_timestamp())
          AND NOT EXISTS (SELECT FROM approvals_canary c WHERE c.step_id = g.step_id)
    UNION ALL
    SELECT g.id, g.run_id, g.payee, g.amount_minor, g.currency,
           CASE WHEN s.finished_at < asked.until THEN s.finished_at END
    FROM closed g JOIN runs_step s ON s.id = g.step_id, asked
    WHERE CASE
        WHEN g.closed_at >= asked.until THEN g.opened_at < asked.until
            AND NOT EXISTS (SELECT FROM approvals_canary c WHERE c.step_id = g.step_id)
        WHEN g.status <> 'approved' THEN false
        WHEN s.finished_at < asked.until THEN s.status = 'succeeded' AND NOT EXISTS (
            SELECT FROM runs_settlement t
            WHERE t.step_id = s.id AND t.answer = 'skip' AND t.attempt = s.attempt)
        ELSE s.finished_at IS NOT NULL
             OR s.status IN ('ready', 'running', 'waiting', 'in_doubt', 'paused')
    END
), sums AS (
    SELECT * FROM unnest(%(bys)s::text[], %(currencies)s::text[], %(begins)s::timestamptz[])
        WITH ORDINALITY AS one (by, currency, begins_at, no)
)
SELECT one.no, coalesce(sum(g.amount_minor), 0),
       (SELECT count(*) >= %(most)s AND min(closed_at) > one.begins_at - %(leave)s FROM closed)
FROM sums one CROSS JOIN asked LEFT JOIN counted g
    ON g.currency = one.currency AND g.id IS DISTINCT FROM %(but)s::uuid
    AND (g.made_at IS NULL OR g.made_at > one.begins_at)
    AND CASE one.by
        WHEN 'tenant' THEN true
        WHEN 'payee' THEN replace(lower(g.payee), ' ', '') = asked.payee
        WHEN 'run' THEN g.run_id IN (SELECT id FROM family)
        WHEN 'workflow' THEN EXISTS (
            SELECT FROM runs_run r WHERE r.id = g.run_id AND r.workflow = %(workflow)s)
        WHEN 'agent' THEN EXISTS (
            SELECT FROM runs_run r WHERE r.id = g.run_id AND r.agent = %(agent)s)
    END
GROUP BY one.no, one.begins_at
"""

# Whether an account was paid is asked of its own gates, by their index, however old they are; a
# name and a tool are looked for among those that closed last. Similar is what the same tool did
# for the same name, or to the same account where there is no name; what moves no money, for the
# same workflow.
HISTORY = """
WITH closed AS MATERIALIZED (
    SELECT g.id, g.run_id, g.step_id, g.status, g.tool, coalesce(g.payee, '') AS payee,
           coalesce(g.payee_name, '') AS payee_name
    FROM approvals_gate g
    WHERE g.tenant = %(tenant)s AND g.status <> 'open' AND g.id IS DISTINCT FROM %(but)s::uuid
          AND g.closed_at < coalesce(%(until)s::timestamptz, 'infinity')
    ORDER BY g.closed_at DESC LIMIT %(most)s
), made AS MATERIALIZED (
    SELECT g.id, g.tool, g.payee, s.finished_at AS at, r.workflow,
           %(payee_name)s <> '' AND upper(g.payee_name) = upper(%(payee_name)s) AS same_name
    FROM closed g JOIN runs_step s ON s.id = g.step_id JOIN runs_run r ON r.id = g.run_id
    WHERE g.status = 'approved' AND s.status = 'succeeded'
          AND s.finished_at < coalesce(%(until)s::timestamptz, 'infinity')
          AND NOT EXISTS (SELECT FROM runs_settlement t WHERE t.step_id = s.id
                          AND t.answer = 'skip' AND t.attempt = s.attempt)
)
SELECT EXISTS (
           SELECT FROM approvals_gate g JOIN runs_step s ON s.id = g.step_id
           WHERE g.tenant = %(tenant)s AND g.payee = %(payee)s
                 AND g.id IS DISTINCT FROM %(but)s::uuid AND g.status <> 'open'
                 AND g.status = 'approved' AND s.status = 'succeeded'
                 AND s.finished_at < coalesce(%(until)s::timestamptz, 'infinity')
                 AND NOT EXISTS (SELECT FROM runs_settlement t WHERE t.step_id = s.id
                                 AND t.answer = 'skip' AND t.attempt = s.attempt)),
       (SELECT payee FROM made WHERE same_name ORDER BY at DESC, id LIMIT 1),
       (SELECT id FROM made WHERE tool = %(tool)s AND CASE
            WHEN NOT %(is_money)s THEN workflow = %(workflow)s AND payee = ''
            WHEN %(payee_name)s <> '' THEN same_name
            ELSE payee = %(payee)s END
        ORDER BY at DESC, id LIMIT 1),
       (SELECT count(*) >= %(most)s FROM closed)
"""


def read_circumstances(
    needs: Needs, request: Request, *, until: datetime | None = None, but: UUID | None = None
) -> Circumstances:
    """What `needs` asks for, and no more. `but` is the request's own gate, where it has one;
    with `until` rows are counted as of then."""
    first_seen = account_changed = compared_with = None
    changed: dict[str, bool] = {}
    if needs.payee or needs.changed:
        known, last, similar, is_cut = _history(request, until, but)
        if needs.payee:
            first_seen, account_changed = not known, _is_changed(request, last, is_cut)
        if needs.changed:
            compared_with = str(similar) if similar else ""
            changed = _changes(request, needs.changed, similar) if similar else {}
    return Circumstances(
        sums=_sums(needs.sums, request, until, but) if needs.sums else {},
        first_seen=first_seen,
        account_changed=account_changed,
        compared_with=compared_with,
        changed=changed,
    )


def _values(request: Request, until: datetime | None, but: UUID | None) -> dict[str, Any]:
    return {
        "tenant": request.tenant,
        "until": until,
        "but": but,
        "tool": request.tool,
        "workflow": request.workflow,
        "agent": request.agent,
        "run": request.run_id,
        "payee": request.payee[:255],
        "payee_name": request.payee_name[:255],
        "is_money": request.money is not None,
    }


def _sums(
    wanted: tuple[Sum, ...], request: Request, until: datetime | None, but: UUID | None
) -> dict[Sum, Summed]:
    """Where the workflow declares no agent, a sum by agent is not among them: what all of those
    paid that nobody named is nobody's sum."""
    wanted = tuple(one for one in wanted if one[0] != "agent" or request.agent)
    if not wanted:
        return {}
    leave = timedelta(seconds=limits.CLEARANCE_SECONDS)
    begins = [request.at - timedelta(seconds=window) for _, _, window in wanted]
    values = _values(request, until, but) | {
        "bys": [by for by, _, _ in wanted],
        "currencies": [currency for _, currency, _ in wanted],
        "begins": begins,
        "since": min(begins) - leave,
        "leave": leave,
        "most": limits.SUM_GATES,
    }
    with connection.cursor() as cursor:
        cursor.execute(SUMS, values)
        return {
            wanted[no - 1]: Summed(amount_minor=int(total), is_at_least=bool(is_cut))
            for no, total, is_cut in cursor.fetchall()
        }


def _history(
    request: Request, until: datetime | None, but: UUID | None
) -> tuple[bool, str | None, UUID | None, bool]:
    values = _values(request, until, but) | {"most": limits.HISTORY_GATES}
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, values)
        known, last, similar, is_cut = cursor.fetchone()
    return known, last, similar, is_cut


def _is_changed(request: Request, last: str | None, is_cut: bool) -> bool:
    """A name that is not among the payments that were looked at is new where those were all;
    where they were not, its account counts as changed, which is the stricter answer."""
    if last is None:
        return is_cut
    return last != request.payee[:255]


def _changes(request: Request, names: tuple[str, ...], similar: UUID) -> dict[str, bool]:
    former = Gate.objects.only("envelope").get(tenant=request.tenant, pk=similar)
    before = canonical.decode(former.envelope)["arguments"]
    return {name: _said(before, name) != _said(request.arguments, name) for name in names}


def _said(arguments: dict[str, Any], name: str) -> bytes | None:
    """By its bytes: to Python, `True` is 1."""
    return canonical.encode(arguments[name]) if name in arguments else None


def is_known(needs: Needs, known: Circumstances) -> bool:
    """Whether circumstances that were read for one document suffice for another."""
    return (
        all(one in known.sums for one in needs.sums)
        and (not needs.payee or known.first_seen is not None)
        and (not needs.changed or known.compared_with is not None)
        and (not known.compared_with or all(name in known.changed for name in needs.changed))
    )
