"""How a slice leaves an author's function: past every `except Exception` of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Parked(BaseException):
    """Leaves the workflow's function: the run waits. Not an `Exception`, so that an author's
    `except Exception` cannot swallow it."""

    def __init__(
        self, waiting_for: str, awaited: Sequence[int], *, awaits_any: bool = False
    ) -> None:
        self.waiting_for, self.awaited, self.awaits_any = waiting_for, awaited, awaits_any


class ContinuedAsNew(BaseException):
    """Leaves the workflow's function: it goes on in a new run, with this input."""

    def __init__(self, input: dict[str, Any]) -> None:
        super().__init__()
        self.input = input


class Stopped(BaseException):
    """Leaves the workflow's function: the engine cannot go on, for the reason that it carries.
    An author's `except Exception` cannot swallow it, and take the other branch."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Steered(BaseException):
    """Leaves the workflow's function: somebody `asked` to `terminate`, `pause` or `cancel`."""

    def __init__(self, asked: str) -> None:
        super().__init__(asked)
        self.asked = asked
