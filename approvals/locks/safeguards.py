"""What migration 0007 brings: changes by two, freezes, the broken glass, delegations."""

from __future__ import annotations

from approvals.locks.breakglass import BREAKGLASS
from approvals.locks.changes import APPLIES, CHANGE, HUMANS
from approvals.locks.delegations import DELEGATION
from approvals.locks.freezes import FREEZE
from runs.guards import append_only

SAFEGUARDS = (
    HUMANS
    + CHANGE
    + append_only("approvals_changevoice", writer=False)
    + APPLIES
    + FREEZE
    + BREAKGLASS
    + append_only("approvals_breakglass", writer=False)
    + append_only("approvals_breakglassconfirmation", writer=False)
    + append_only("approvals_breakglassreview", writer=False)
    + DELEGATION
)
# With a function go the triggers that call it; the rest of them goes with their tables.
SAFEGUARDS_UNDO = """
DROP FUNCTION approvals_delegates, approvals_guard_delegation, approvals_guard_new_delegation,
    approvals_broke_glass, approvals_guard_breakglassreview,
    approvals_guard_breakglassconfirmation, approvals_guard_breakglass,
    approvals_guard_freeze, approvals_guard_new_freeze,
    approvals_refuse_frozen, approvals_frozen, approvals_plainly, approvals_guard_reviewer,
    approvals_applies_bytes, approvals_applies, approvals_guard_changevoice,
    approvals_guard_change, approvals_guard_new_change, approvals_change_voices,
    approvals_voice_is_sealed, approvals_change_is_sealed, approvals_change_digest,
    approvals_is_person, approvals_has_role, approvals_human CASCADE;
"""
