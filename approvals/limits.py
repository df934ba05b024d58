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

NOTICE_SECONDS = 7 * 24 * 60 * 60
"""How long after something happened it is still told: what is older is no news."""

REMIND_AFTER_SECONDS = 4 * 60 * 60
"""After how long an open gate is told of once more, where its policy does not say."""

MAX_COMMENT_CHARACTERS = 1_000
"""Characters of one comment."""

MAX_COMMENTS = 200
"""Comments at one gate."""

MAX_CHANNELS = 20
"""Channels of one tenant."""
