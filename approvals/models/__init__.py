"""The rows of consent: policies, gates, decisions, clearances.

Decisions, clearances and their uses are append-only; what may be written at all is checked
once more by triggers in the database (see `approvals.locks`).
"""

from approvals.models.batches import Batch
from approvals.models.breakglass import (
    BreakGlass,
    BreakGlassConfirmation,
    BreakGlassProof,
    BreakGlassReview,
)
from approvals.models.canaries import Canary
from approvals.models.changes import Change, ChangeVoice
from approvals.models.clearances import Clearance, ClearanceUse
from approvals.models.decisions import Decision, Revocation, SealKey
from approvals.models.delegations import Delegation
from approvals.models.freezes import Freeze
from approvals.models.gates import Gate, Viewing
from approvals.models.keys import Key, KeyKind, KeyRequest, KeyRevocation
from approvals.models.notices import Channel, Comment, Mute, Notice
from approvals.models.policies import Policy, Reviewer
from approvals.models.secondlooks import Recap, SecondLook

__all__ = [
    "Batch",
    "BreakGlass",
    "BreakGlassConfirmation",
    "BreakGlassProof",
    "BreakGlassReview",
    "Canary",
    "Change",
    "ChangeVoice",
    "Channel",
    "Clearance",
    "ClearanceUse",
    "Comment",
    "Decision",
    "Delegation",
    "Freeze",
    "Gate",
    "Key",
    "KeyKind",
    "KeyRequest",
    "KeyRevocation",
    "Mute",
    "Notice",
    "Policy",
    "Recap",
    "Reviewer",
    "Revocation",
    "SealKey",
    "SecondLook",
    "Viewing",
]
