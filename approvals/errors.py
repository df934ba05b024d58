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


class NotTyped(DecisionRefused):
    """The tier asks for a typed fact, and this is none of the request."""


class TooSoon(DecisionRefused):
    """The request has not been looked at for as long as its rule asks."""


class TooFast(DecisionRefused):
    """The person has approved too many requests in too short a time to have read them."""


class BatchRefused(DecisionRefused):
    """These requests cannot be decided at once, or not by this confirmation."""


class TooLate(DecisionRefused):
    """The step was claimed before the approval was taken back."""


class CommentRefused(ApprovalsError):
    """The comment was not recorded; nothing has changed."""


class PolicyRefused(ApprovalsError):
    """The policy cannot be published; nothing has changed."""


class SignatureRefused(DecisionRefused):
    """No key signed this, or not as it must be signed; the sentence says what is wrong."""


class KeyRefused(ApprovalsError):
    """The key was not enrolled, or not revoked; nothing has changed."""


class ReasonMissing(ApprovalsError):
    """A reason is needed; a reason has a limit."""


class ChangeRefused(ApprovalsError):
    """The change was not proposed, or what was said of it not recorded; nothing has changed."""


class FreezeRefused(ApprovalsError):
    """Nothing was frozen."""


class BreakGlassRefused(ApprovalsError):
    """The glass was not broken, or its review not recorded."""


class DelegationRefused(ApprovalsError):
    """The delegation was not made or not revoked."""


class LookRefused(ApprovalsError):
    """What was found at a second look was not recorded; nothing has changed."""
