"""Locks 1 to 3 as the database keeps them: the SQL of migration 0003 and what came after it.

Functions run with the rights of the owner and a pinned search path, and each refusal names
its lock. They lock the gate's row, so that claim, decision and expiry take turns. They are
renewed after each migration (see `console.rights`); triggers are made once, by migrations.
"""

from __future__ import annotations

from approvals.locks.batches import BATCH, BATCHED, BATCHES, BATCHES_UNDO
from approvals.locks.canaries import CANARIES, CANARIES_UNDO
from approvals.locks.clearances import CLEARANCE, SPEND
from approvals.locks.decisions import DECISION, REVOCATION
from approvals.locks.gates import GATE, POLICY
from approvals.locks.glasskeys import GLASSKEYS, GLASSKEYS_UNDO
from approvals.locks.keys import KEYS, KEYS_UNDO
from approvals.locks.notices import NOTICE, NOTICE_UNDO
from approvals.locks.roles import ROLES, ROLES_UNDO
from approvals.locks.safeguards import SAFEGUARDS, SAFEGUARDS_UNDO
from approvals.locks.seals import HMAC, VOICES
from approvals.locks.secondlooks import SECONDLOOKS, SECONDLOOKS_UNDO
from approvals.locks.settlements import SETTLEMENT, SETTLEMENT_UNDO
from runs.guards import append_only

__all__ = [
    "BATCHES",
    "BATCHES_UNDO",
    "CANARIES",
    "CANARIES_UNDO",
    "FUNCTIONS",
    "GLASSKEYS",
    "GLASSKEYS_UNDO",
    "KEYS",
    "KEYS_UNDO",
    "LATER",
    "NOTICE",
    "NOTICE_UNDO",
    "POLICY",
    "REVOCATION",
    "ROLES",
    "ROLES_UNDO",
    "SAFEGUARDS",
    "SAFEGUARDS_UNDO",
    "SECONDLOOKS",
    "SECONDLOOKS_UNDO",
    "SETTLEMENT",
    "SETTLEMENT_UNDO",
    "SQL",
    "UNDO",
]

SQL = (
    HMAC
    + VOICES
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
DROP TRIGGER approvals_decision_guard ON approvals_decision;
DROP TRIGGER approvals_clearance_lock ON approvals_clearance;
DROP TRIGGER approvals_clearance_birth ON approvals_clearance;
"""
# Migration 0007.
LATER = append_only("approvals_revocation", writer=False) + append_only(
    "approvals_viewing", writer=False
)
FUNCTIONS = (
    HMAC
    + VOICES
    + GATE
    + DECISION
    + CLEARANCE
    + SPEND
    + POLICY
    + REVOCATION
    + SETTLEMENT
    + KEYS
    + SAFEGUARDS
    + NOTICE
    + SECONDLOOKS
    + BATCH
    + BATCHED
    + GLASSKEYS
    + CANARIES
    + ROLES
)
