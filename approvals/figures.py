"""The figures that a gate's facts rest on, counted by the database in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from approvals import limits
from approvals.models import Gate

REPEATED_WITHIN = timedelta(days=7)
"""How long the same amount to the same account looks like a payment made twice."""
SUM_OVER = timedelta(days=30)
"""Over how long the payments to one account are added up."""

# `closed` walks the index approvals_gate_closed and `waiting` approvals_gate_open, both with an
# end: whatever the history is, no more rows than that are looked at. A step that people skipped
# has succeeded without a payment. A canary asks for money that nobody will ever be paid.
FIGURES = """
WITH asked AS (SELECT coalesce(%(until)s::timestamptz, now()) AS at),
closed AS MATERIALIZED (
    SELECT g.id, g.step_id, g.status, g.tool, g.payee, g.payee_name, g.amount_minor, g.currency,
           g.closed_at
    FROM approvals_gate g
    WHERE g.tenant = %(tenant)s AND g.status <> 'open' AND g.closed_at < (SELECT at FROM asked)
    ORDER BY g.closed_at DESC LIMIT %(most)s
), approved AS MATERIALIZED (
    SELECT g.id, g.tool, g.payee, g.amount_minor, g.currency, s.status, s.finished_at AS at,
           g.payee = %(payee)s AS same_account,
           %(payee_name)s <> '' AND upper(g.payee_name) = upper(%(payee_name)s) AS same_name,
           EXISTS (SELECT FROM runs_settlement t WHERE t.step_id = s.id
                   AND t.answer = 'skip' AND t.attempt = s.attempt) AS is_skipped
    FROM closed g JOIN runs_step s ON s.id = g.step_id
    WHERE g.status = 'approved' AND (g.payee = %(payee)s
          OR %(payee_name)s <> '' AND upper(g.payee_name) = upper(%(payee_name)s))
), made AS MATERIALIZED (
    SELECT * FROM approved
    WHERE status = 'succeeded' AND NOT is_skipped AND at < (SELECT at FROM asked)
), alike AS (
    SELECT * FROM made WHERE same_account AND currency = %(currency)s
), waiting AS MATERIALIZED (
    SELECT g.id, g.payee, g.amount_minor, g.currency FROM approvals_gate g
    WHERE g.tenant = %(tenant)s AND g.status = 'open' AND g.expires_at > now()
          AND g.id <> %(gate)s
          AND NOT EXISTS (SELECT FROM approvals_canary c WHERE c.step_id = g.step_id)
    ORDER BY g.expires_at, g.id LIMIT %(most)s
), others AS (
    SELECT * FROM waiting WHERE payee = %(payee)s AND currency = %(currency)s
)
SELECT 'account' AS name, count(*) AS count, NULL::numeric AS amount_minor,
       (array_agg(id ORDER BY at DESC, id))[1] AS gate, max(at) AS at, NULL::text AS payee
FROM made WHERE same_account
UNION ALL SELECT 'tool', count(*), NULL, (array_agg(id ORDER BY at DESC, id))[1], max(at), NULL
FROM made WHERE same_account AND tool = %(tool)s
UNION ALL SELECT 'name', count(*), NULL, (array_agg(id ORDER BY at DESC, id))[1], max(at),
                 (array_agg(payee ORDER BY at DESC, id))[1]
FROM made WHERE same_name
UNION ALL SELECT 'repeated', count(*), NULL, (array_agg(id ORDER BY at DESC, id))[1], max(at), NULL
FROM alike WHERE amount_minor = %(amount_minor)s AND at > (SELECT at FROM asked) - %(repeated)s
UNION ALL SELECT 'twice_the_median', count(*),
                 percentile_disc(0.5) WITHIN GROUP (ORDER BY amount_minor)
                 + percentile_disc(0.5) WITHIN GROUP (ORDER BY amount_minor DESC), NULL, NULL, NULL
FROM (SELECT amount_minor FROM alike ORDER BY at DESC, id LIMIT %(median)s) AS newest
UNION ALL SELECT 'paid_lately', count(*), sum(amount_minor), NULL, NULL, NULL
FROM alike WHERE at > (SELECT at FROM asked) - %(over)s
UNION ALL SELECT 'underway', count(*), sum(amount_minor), NULL, NULL, NULL
FROM approved WHERE same_account AND currency = %(currency)s
                    AND status IN ('ready', 'running', 'waiting', 'in_doubt', 'paused')
UNION ALL SELECT 'waiting', count(*), sum(amount_minor), NULL, NULL, NULL FROM others
UNION ALL SELECT 'asked_again', count(*), NULL, (array_agg(id ORDER BY id))[1], NULL, NULL
FROM others WHERE amount_minor = %(amount_minor)s
UNION ALL SELECT 'run', count(*), NULL, NULL, NULL, NULL
FROM approvals_gate g JOIN runs_step s ON s.id = g.step_id
WHERE g.run_id = %(run)s AND g.tenant = %(tenant)s AND s.position < %(position)s
UNION ALL SELECT 'closed', count(*), NULL, NULL, NULL, NULL FROM closed
UNION ALL SELECT 'closed_long_ago', count(*), NULL, NULL, NULL, NULL
FROM closed WHERE closed_at <= (SELECT at FROM asked) - %(over)s
UNION ALL SELECT 'open', count(*), NULL, NULL, NULL, NULL FROM waiting
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """How many there are, what they sum up to, and the newest of them."""

    count: int
    amount_minor: int
    gate_id: UUID | None
    at: datetime | None
    payee: str


def figures_of(gate: Gate, told: dict[str, Any]) -> dict[str, Figure]:
    """By name, in rows of the gate's tenant; `told` is what its envelope says."""
    values = {
        "tenant": gate.tenant,
        "gate": gate.id,
        "run": gate.run_id,
        "position": gate.step.position,
        "until": gate.closed_at,
        "tool": told["tool"],
        "payee": told["money"]["payee"][:255],
        "payee_name": told["money"]["payee_name"][:255],
        "amount_minor": told["money"]["amount_minor"],
        "currency": told["money"]["currency"],
        "repeated": REPEATED_WITHIN,
        "over": SUM_OVER,
        "most": limits.HISTORY_GATES,
        "median": limits.HISTORY_MEDIAN,
    }
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, values)
        return {
            name: Figure(
                count=count, amount_minor=int(amount or 0), gate_id=id, at=at, payee=payee or ""
            )
            for name, count, amount, id, at, payee in cursor.fetchall()
        }
