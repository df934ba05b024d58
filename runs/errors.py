"""What can go wrong, as a tree. Messages are sentences for people."""

from __future__ import annotations

from runs import limits


class RunsError(Exception):
    """The root of the engine's own errors."""

    @property
    def message(self) -> str:
        return str(self)


class Refused(RunsError):
    """A request that was turned down; nothing was changed."""


class UnknownWorkflow(Refused):
    """No workflow of that name is registered."""


class InvalidInput(Refused):
    """The input does not fit. `errors` names each fault as (JSON pointer, sentence)."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(" ".join(f"{pointer or 'input'}: {text}" for pointer, text in errors))
        self.errors = errors


class PayloadTooLarge(Refused):
    """More canonical bytes than `limits.MAX_PAYLOAD_BYTES`, or nested too deeply."""


class IdempotencyMismatch(Refused):
    """The same idempotency key came with another request."""


class UnknownRun(Refused):
    """There is no such run, or it belongs to another tenant."""


class MailboxFull(Refused):
    """A run has `limits.MAX_MAILBOX` messages that it has not taken."""


class AlreadyEnded(Refused):
    """The run has ended, so there is nothing to steer."""


class SteeringRefused(Refused):
    """A run was not steered: it is not in a state for that, or a reason is missing."""


class ForkRefused(Refused):
    """A run cannot be forked at this position."""


class BulkRefused(Refused):
    """A bulk action was not begun: its filter finds too many runs, or others than were counted."""


class UnknownSchedule(Refused):
    """There is no such schedule, or it belongs to another tenant."""


class ScheduleRefused(Refused):
    """A schedule cannot be as it is asked for, or cannot do now what it is asked to."""


class SettlementRefused(Refused):
    """A doubt was not settled: it is none, or this person may not, or the answer is no answer."""


class NotRegistered(RunsError):
    """A tool's declaration is not in the database, or differs from the one that is."""


class DirectCallRefused(RunsError):
    """A tool with effects or secrets was called as a plain function."""


class NotCanonical(ValueError):
    """A value that has no canonical form: a non-JSON type, NaN, a lone surrogate."""


class Fenced(RunsError):
    """The claim was lost: another process owns the run or the step now."""


class ClaimMissed(RunsError):
    """Somebody else has the step, or it may not be claimed (yet)."""


class CredentialRefused(RunsError):
    """The tool's secret may not be used for this step."""


class CredentialUnavailable(RunsError):
    """The vault could not answer; nothing was attempted, and another try may go better."""


class ConsentMismatch(RunsError):
    """What is about to be sent differs from what was consented to (lock 4)."""


class Mismatch(RunsError):
    """The workflow's code and the run's journal disagree; both sides are shown."""

    def __init__(self, position: int, recorded: str, found: str) -> None:
        super().__init__(
            f"At position {position} the journal holds {recorded}, but the code asks for {found}."
        )
        self.position, self.recorded, self.found = position, recorded, found


class HistoryFull(RunsError):
    """The journal of a run has as many events as it may have."""

    def __init__(self, events: int) -> None:
        super().__init__(
            f"Its journal has {events:,} events, and no more are kept. Nothing of it is lost: end"
            " it, or fork it from an earlier step; its author may use run.continue_as_new."
        )


class InvalidArguments(RunsError):
    """`run.call` or `run.prepare` was given arguments that the tool does not take."""


class Refusal(RunsError):
    """Raised by a tool: a definitive no of the outside world. It is not retried."""


class RetryLater(RunsError):
    """Raised by a tool: a definitive "not now", nothing was done. The step is tried again, not
    before `after_seconds` are over where the provider names them (its `Retry-After`)."""

    def __init__(self, message: str, after_seconds: float | None = None) -> None:
        super().__init__(message)
        if after_seconds is not None:
            after_seconds = max(0.0, min(after_seconds, limits.MAX_RETRY_LATER_SECONDS))
        self.after_seconds = after_seconds


class CompletionRefused(Refused):
    """A step was not completed from outside: wrong token, used twice, or it does not wait."""


class StepError(RunsError):
    """What a workflow sees of a step that did not succeed."""

    def __init__(self, message: str, *, step: str, kind: str) -> None:
        super().__init__(message)
        self.step, self.kind = step, kind


class StepFailed(StepError):
    """The step failed for good."""


class TimedOut(StepError):
    """What the run waited for did not come in time."""


class Denied(StepError):
    """People refused the step, or nobody consented in time. Nothing happened."""


class ChangesRequested(Denied):
    """A person wants the call changed; the message is what they want. Nothing happened.

    A call of the same tool with other arguments is a new step, about which people decide anew.
    """
