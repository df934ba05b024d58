"""The durable engine. What authors of workflows import."""

from runs.declare import Money, Retry, tool, workflow
from runs.errors import Denied, InvalidArguments, Refusal, StepError, StepFailed

__all__ = [
    "Denied",
    "InvalidArguments",
    "Money",
    "Refusal",
    "Retry",
    "StepError",
    "StepFailed",
    "tool",
    "workflow",
]
