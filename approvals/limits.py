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

KEY_WAITING_SECONDS = 24 * 60 * 60
"""How long a fresh key signs nothing for the high tiers, unless two admins vouch for it."""

KEY_CHALLENGE_SECONDS = 60 * 60
"""How long after the page of keys was opened a passkey may be enrolled on it."""

KEY_NOTICE_SECONDS = 7 * 24 * 60 * 60
"""How long Home tells a person of a key that was enrolled in their name."""

MAX_KEYS = 10
"""Keys that one person may have, those that are revoked not counted."""

MAX_KEY_NAME_CHARACTERS = 60
"""Characters of the name of a key."""

MAX_SIGNED_BYTES = 4_096
"""Bytes of each of the three parts of a passkey's answer."""

MAX_ATTESTATION_BYTES = 16_384
"""Bytes of what an authenticator says of a new passkey."""
