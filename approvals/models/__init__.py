"""The rows of consent: policies, gates, decisions, clearances.

Decisions, clearances and their uses are append-only; what may be written at all is checked
once more by triggers in the database (see `approvals.locks`).
"""

from approvals.models.clearances import Clearance, ClearanceUse
from approvals.models.decisions import Decision, SealKey
from approvals.models.gates import Gate
from approvals.models.notices import Channel, Comment, Mute, Notice
from approvals.models.policies import Policy, Reviewer

__all__ = [
    "Channel",
    "Clearance",
    "ClearanceUse",
    "Comment",
    "Decision",
    "Gate",
    "Mute",
    "Notice",
    "Policy",
    "Reviewer",
    "SealKey",
]
