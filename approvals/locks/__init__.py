"""Locks 1 to 3 as the database keeps them: the SQL of migration 0003 and what came after it.

Functions run with the rights of the owner and a pinned search path, and each refusal names
its lock. They lock the gate's row, so that claim, decision and expiry take turns.
"""

from __future__ import annotations

from approvals.locks.clearances import CLEARANCE, SPEND
from approvals.locks.decisions import DECISION
from approvals.locks.gates import GATE
from approvals.locks.notices import NOTICE, NOTICE_UNDO
from approvals.locks.seals import HMAC
from approvals.locks.settlements import SETTLEMENT, SETTLEMENT_UNDO
from runs.guards import append_only

__all__ = ["NOTICE", "NOTICE_UNDO", "SETTLEMENT", "SETTLEMENT_UNDO", "SQL", "UNDO"]

SQL = (
    HMAC
    + GATE
    + DECISION
    + CLEARANCE
    + SPEND
    + append_only("approvals_decision", writer=False)
    + append_only("approvals_clearance", writer=False)
    + append_only("approvals_clearanceuse", writer=False)
)
UNDO = """
DROP TRIGGER approvals_spend ON runs_step;
ALTER TABLE runs_step DROP CONSTRAINT runs_step_clearance_is_its_own;
DROP TRIGGER approvals_decision_append_only ON approvals_decision;
DROP TRIGGER approvals_clearance_append_only ON approvals_clearance;
DROP TRIGGER approvals_clearanceuse_append_only ON approvals_clearanceuse;
DROP TRIGGER approvals_gate_birth ON approvals_gate;
DROP TRIGGER approvals_gate_guard ON approvals_gate;
DROP TRIGGER approvals_policy_guard ON approvals_policy;
DROP TRIGGER approvals_decision_guard ON approvals_decision;
DROP TRIGGER approvals_clearance_lock ON approvals_clearance;
DROP TRIGGER approvals_clearance_birth ON approvals_clearance;
DROP FUNCTION approvals_spend, approvals_guard_clearance, approvals_date_clearance,
    approvals_guard_decision, approvals_guard_policy, approvals_guard_gate,
    approvals_guard_new_gate, approvals_voices, approvals_is_member, approvals_is_sealed,
    approvals_requested_before, approvals_words, approvals_seal_of, placet_hmac_sha256;
"""
