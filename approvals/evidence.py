"""What the rows say of one request that waits for people, read at once.

The gatekeeper asks before it closes a gate, the executor before it sends anything. Each reads for
itself, and neither of them judges here: see `gates`, `consent` and `counting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from approvals.models import Clearance, Gate, Policy
from runs import prepared
from runs.models import Run, Step
from runs.prepared import Columns

STEP, RUN, GATE, CLEARANCE, POLICY = map(Columns, (Step, Run, Gate, Clearance, Policy))
VERSION = Columns(Policy, "id", "tenant", "number")
IS_CANARY = "EXISTS (SELECT FROM approvals_canary c WHERE c.step_id = s.id)"
# The gate is locked: decision, claim and expiry wait until the gatekeeper has concluded.
WAITING = f"""
    WITH g AS (SELECT * FROM approvals_gate WHERE step_id = %(step)s FOR NO KEY UPDATE)
    SELECT {STEP.of("s")}, {RUN.of("r")}, {GATE.of("g")}, {VERSION.of("p")}, {IS_CANARY},
        clock_timestamp()
    FROM runs_step s JOIN runs_run r ON r.id = s.run_id
    LEFT JOIN g ON true LEFT JOIN approvals_policy p ON p.id = g.policy_id
    WHERE s.id = %(step)s
"""
CLEARED = f"""
    SELECT {CLEARANCE.of("l")}, {GATE.of("g")}, {POLICY.of("p")}, {IS_CANARY},
        coalesce(u.used_at, clock_timestamp())
    FROM runs_step s
    LEFT JOIN approvals_clearance l ON l.step_id = s.id
    LEFT JOIN approvals_gate g ON g.id = l.gate_id
    LEFT JOIN approvals_policy p ON p.id = g.policy_id
    LEFT JOIN approvals_clearanceuse u ON u.clearance_id = l.id
    WHERE s.id = %s
"""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A step with its run, and its gate with the version of the policy that opened it, where
    there is one. What may change while locks are waited for (a freeze, another version of the
    policy) is not told here, but asked when it counts."""

    step: Step
    gate: Gate | None
    is_canary: bool
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """The clearance of a step, with its gate and the policy that opened that; None where there
    is none. `spent_at` is when the step's claim spent it, or now."""

    clearance: Clearance | None
    is_canary: bool
    spent_at: datetime


def waiting(step_id: UUID) -> Waiting:
    """For the gatekeeper, in a transaction that holds the lock of the run."""
    with prepared.cursor() as cursor:
        cursor.execute(WAITING, {"step": step_id})
        row = cursor.fetchone()
    step, run, gate, version, *more = prepared.split(row, STEP, RUN, GATE, VERSION)
    step.run = run
    if gate is not None:
        gate.step, gate.run, gate.policy = step, run, version
    is_canary, now = more
    return Waiting(step=step, gate=gate, is_canary=is_canary, now=now)


def cleared(step_id: UUID) -> Cleared:
    """For the executor, which has claimed the step."""
    with prepared.cursor() as cursor:
        cursor.execute(CLEARED, [step_id])
        row = cursor.fetchone()
    clearance, gate, policy, is_canary, spent_at = prepared.split(row, CLEARANCE, GATE, POLICY)
    if clearance is not None:
        clearance.gate, gate.policy = gate, policy
    return Cleared(clearance=clearance, is_canary=is_canary, spent_at=spent_at)
