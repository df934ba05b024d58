"""Figures of reviewers and of rules: how people decide, and how often they were wrong.

One statement over the newest decisions of a tenant. The time to decide runs from when the
request was first looked at; without a look it is not known, and the decision is a fast one.
Decisions about canaries are counted by themselves, and in no other figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from approvals import limits

PERIODS = (30, 90)
"""Days that figures are made over."""

FIGURES = """
    WITH lately AS (
        SELECT d.gate_id, d.person_id, d.verdict, d.decided_at FROM approvals_decision d
        WHERE d.tenant = %(tenant)s
          AND d.decided_at > clock_timestamp() - interval '1 day' * %(days)s
          AND (%(person)s::bigint IS NULL OR d.person_id = %(person)s)
        ORDER BY d.decided_at DESC LIMIT %(decisions)s
    ), told AS (
        SELECT p.username, g.rule_name, l.verdict,
               extract(epoch FROM l.decided_at - v.since)::float AS seconds,
               CASE WHEN l.verdict = 'approve' THEN s.verdict END AS found,
               c.step_id IS NOT NULL AS is_canary
        FROM lately l
        JOIN approvals_gate g ON g.id = l.gate_id
        JOIN console_user p ON p.id = l.person_id
        LEFT JOIN approvals_viewing v ON v.gate_id = l.gate_id AND v.person_id = l.person_id
            AND v.since <= l.decided_at
        LEFT JOIN approvals_secondlook s ON s.gate_id = l.gate_id
        LEFT JOIN approvals_canary c ON c.step_id = g.step_id
    )
    SELECT coalesce(username, ''), coalesce(rule_name, ''), count(*) FILTER (WHERE NOT is_canary),
           count(*) FILTER (WHERE verdict = 'approve' AND NOT is_canary),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE NOT is_canary),
           percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE NOT is_canary),
           count(*) FILTER (WHERE coalesce(seconds, 0) < %(fast)s AND NOT is_canary),
           count(*) FILTER (WHERE seconds IS NULL AND NOT is_canary),
           count(*) FILTER (WHERE found = 'right'),
           count(*) FILTER (WHERE found = 'wrong'),
           count(*) FILTER (WHERE is_canary),
           count(*) FILTER (WHERE is_canary AND verdict <> 'approve')
    FROM told GROUP BY GROUPING SETS ((username), (rule_name), (username, rule_name))
    ORDER BY grouping(username, rule_name) DESC, count(*) DESC, 1, 2 LIMIT %(rows)s
"""


@dataclass(frozen=True, kw_only=True)
class Habit:
    """How one reviewer decides (`rule` empty), one rule is decided (`person` empty), or both."""

    person: str
    rule: str
    decisions: int
    approvals: int
    median_seconds: float | None
    p90_seconds: float | None
    fast: int
    unseen: int
    right: int
    wrong: int
    canaries: int
    caught: int

    @property
    def approve_percent(self) -> int:
        """Rounded down, so that a hundred means every one."""
        return self.approvals * 100 // max(self.decisions, 1)

    @property
    def fast_percent(self) -> int:
        return self.fast * 100 // max(self.decisions, 1)

    @property
    def caught_percent(self) -> int | None:
        """Of the canaries that were decided about, how many nobody approved; None: there were
        none."""
        return self.caught * 100 // self.canaries if self.canaries else None

    @property
    def overturned_percent(self) -> int | None:
        """Of the approvals that were looked at again, how many were wrong; None: none were."""
        looked = self.right + self.wrong
        return self.wrong * 100 // looked if looked else None

    @property
    def alert(self) -> str:
        """What is alarming about it, in words; empty for most."""
        if self.decisions < limits.ALERT_DECISIONS or 2 * self.fast <= self.decisions:
            return ""
        if self.approvals * 100 <= limits.ALERT_PERCENT * self.decisions:
            return ""
        return (
            f"{self.approve_percent} % approved, most of them within {limits.FAST_SECONDS} seconds:"
            " nobody reads that fast."
        )


def habits_of(*, tenant: str, days: int, person: Any = None) -> Sequence[Habit]:
    """The figures of a tenant, or of one person alone, the whole before its parts."""
    values = {
        "tenant": tenant,
        "days": days,
        "person": None if person is None else person.pk,
        "decisions": limits.FIGURES_DECISIONS,
        "fast": limits.FAST_SECONDS,
        "rows": limits.FIGURES_ROWS,
    }
    names = tuple(Habit.__dataclass_fields__)
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, values)
        return [Habit(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
