"""Why a decision, a gate or a policy was turned down. Messages are sentences for people."""

from __future__ import annotations


class ApprovalsError(Exception):
    """The root of this room's errors."""

    @property
    def message(self) -> str:
        return str(self)


class DecisionRefused(ApprovalsError):
    """The decision was not recorded; nothing has changed."""


class NotEligible(DecisionRefused):
    """The person is not in the group that the gate asks for."""


class OwnRequest(DecisionRefused):
    """The person requested the run themself."""


class AlreadyDecided(DecisionRefused):
    """The person has decided at this gate before, otherwise."""


class GateClosed(DecisionRefused):
    """The gate is no longer open, or its time is over."""


class DigestMismatch(DecisionRefused):
    """What the person saw is not what the gate asks about."""


class ReasonRequired(DecisionRefused):
    """A denial needs a reason; a reason has a limit."""


class CommentRefused(ApprovalsError):
    """The comment was not recorded; nothing has changed."""


class PolicyRefused(ApprovalsError):
    """The policy cannot be published; nothing has changed."""
