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

MAX_POLICY_TEXT = 262_144
"""Bytes of a policy's text, in YAML or JSON."""

MAX_POLICY_BYTES = 65_536
"""Canonical bytes of a policy in its normal form."""

MAX_POLICY_DEPTH = 20
"""Levels of lists and mappings in the text of a policy; one that is valid has nine."""

MAX_POLICY_FAULTS = 50
"""Faults that are named of one policy."""

MAX_POLICY_NAME = 128
"""Characters of a name in a policy: of a rule, a tool, a group, a list."""

MAX_RULES = 100
"""Rules of one policy."""

MAX_NAMES = 100
"""Names in one condition: tools, workflows, people, arguments, holidays."""

MAX_BANDS = 20
"""Bands of amounts in one rule."""

MAX_SUMS = 5
"""Sums over time in one rule."""

MAX_LISTS = 50
"""Lists of payees in one policy."""

MAX_LIST_ENTRIES = 1_000
"""Payees in one such list."""

MAX_LIST_ENTRY = 255
"""Characters of one payee in a list."""

MAX_THRESHOLDS = 5
"""Thresholds of one rule."""

MAX_GROUPS = 10
"""Groups that one escalation adds."""

MAX_MEMBER_SECONDS = 366 * 24 * 60 * 60
"""The longest that a rule may ask a reviewer to have been in the group."""

MAX_COOLING_OFF_SECONDS = 30 * 24 * 60 * 60
"""The longest that a rule may have a consent wait before it is used."""

MAX_DWELL_SECONDS = 60 * 60
"""The longest that a rule may have a reviewer look before they consent."""

MAX_WINDOW_SECONDS = 366 * 24 * 60 * 60
"""The longest time over which a rule adds payments up, or counts denials."""

MAX_FREEZES = 20
"""Thresholds of one policy at which something is frozen by itself."""

MAX_FREEZE_DENIALS = 1_000
"""Denials that one such threshold counts."""

SUM_GATES = 50_000
"""Gates, those that closed last, whose payments are added up for a rule."""

MAX_SIMULATED = 5_000
"""Past requests that one simulation of a draft replays."""

MAX_CASES = 1_000
"""Cases in one file of cases of a policy."""

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
"""How long a broken glass waits for the second human, and how old what opens it may be."""

BREAKGLASS_REVIEW_SECONDS = 24 * 60 * 60
"""When a review is overdue, after the time of a broken glass is over."""

DELEGATION_SECONDS = 90 * 24 * 60 * 60
"""How far ahead a delegation may end."""

MAX_DELEGATIONS = 20
"""Delegations of one person that are in force or to come."""

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

MAX_CANARIES_PER_WEEK = 20
"""Canaries that a policy may ask for, in any seven days."""

CANARY_MODELS = 200
"""Payments, the newest, of which one is the model of a canary."""

RATE_APPROVALS = 12
"""Approvals of one person within `RATE_SECONDS`, before they look over what they approved."""

RATE_SECONDS = 5 * 60
"""The time over which the approvals of one person are counted."""

MAX_BATCH = 10
"""Requests of the lowest tier that one person decides at once; fewer than `RATE_APPROVALS`."""

FAST_SECONDS = 5
"""An approval that came sooner after its request was first looked at is a fast one."""

FAST_PERCENT = 25
"""Of a hundred cleared requests with a fast approval, how many are looked at once more."""

DRAW_SECONDS = 7 * 24 * 60 * 60
"""How long after a gate closed a gatekeeper that was away still draws it."""

ALERT_PERCENT = 97
"""Above how many approvals of a hundred decisions, most of them fast, figures raise an alert."""

ALERT_DECISIONS = 10
"""Decisions below which a share says nothing, so that no alert is raised."""

FIGURES_DECISIONS = 50_000
"""Decisions, the newest, that figures of reviewers are made of."""

FIGURES_ROWS = 500
"""Rows of such figures: reviewers, rules, and reviewers by rule."""
