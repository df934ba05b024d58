"""Every limit of this room, by name. docs/limits.md is tested against this module."""

MAX_REASON_CHARACTERS = 1_000
"""Characters of a decision's reason."""

MAX_QUORUM = 10
"""Approvals that one rule may ask for."""

MAX_EXPIRY_SECONDS = 90 * 24 * 60 * 60
"""The longest that a gate stays open."""

CLEARANCE_SECONDS = 24 * 60 * 60
"""How long after its clearance a step may still be started for the first time."""

SWEEP_BATCH = 200
"""Gates or held steps that one pass of the gatekeeper handles."""

HISTORY_GATES = 5_000
"""Gates, those that closed last, among which former payments are looked for; as many open ones."""

HISTORY_MEDIAN = 20
"""Former payments to an account, the newest, that a median is taken of."""

CHANGE_SECONDS = 7 * 24 * 60 * 60
"""How long a change waits for its second admin; then it has expired."""

CHANGE_ADMINS = 2
"""Admins, different humans, who must agree to a change."""

MAX_CHANGE_BYTES = 256 * 1024
"""Bytes of what a change would do."""

MAX_GROUP_CHARACTERS = 63
"""Characters of the name of a group of reviewers."""

MAX_FROZEN_CHARACTERS = 255
"""Characters of the tool, workflow or payee that is frozen."""

BREAKGLASS_MINUTES = 60
"""The longest that the glass is broken, from its confirmation."""

BREAKGLASS_CONFIRM_SECONDS = 15 * 60
"""How long a broken glass waits for the second human."""

BREAKGLASS_REVIEW_SECONDS = 24 * 60 * 60
"""When a review is overdue, after the time of a broken glass is over."""

DELEGATION_SECONDS = 90 * 24 * 60 * 60
"""How far ahead a delegation may end."""

MAX_DELEGATIONS = 20
"""Delegations of one person that are in force or to come."""
