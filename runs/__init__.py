"""The durable engine. What authors of workflows import."""

from runs.declare import Money, tool, workflow
from runs.errors import (
    ChangesRequested,
    Denied,
    InvalidArguments,
    Refusal,
    RetryLater,
    StepError,
    StepFailed,
    TimedOut,
)
from runs.probes import CannotSay, DidNotHappen, Happened
from runs.retries import Retry

__all__ = [
    "CannotSay",
    "ChangesRequested",
    "Denied",
    "DidNotHappen",
    "Happened",
    "InvalidArguments",
    "Money",
    "Refusal",
    "Retry",
    "RetryLater",
    "StepError",
    "StepFailed",
    "TimedOut",
    "tool",
    "workflow",
]
