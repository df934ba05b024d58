"""How a slice leaves an author's function: past every `except Exception` of theirs."""

from __future__ import annotations


class Parked(BaseException):
    """Leaves the workflow's function: the run waits. Not an `Exception`, so that an author's
    `except Exception` cannot swallow it."""

    def __init__(self, waiting_for: str, awaited: list[int] | None = None) -> None:
        self.waiting_for, self.awaited = waiting_for, awaited or []


class Stopped(BaseException):
    """Leaves the workflow's function: the engine cannot go on, for the reason that it carries.
    An author's `except Exception` cannot swallow it, and take the other branch."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Cancelled(BaseException):
    """Leaves the workflow's function: somebody asked to cancel the run."""
