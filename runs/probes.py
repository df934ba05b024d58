"""What a probe answers: the function that asks a provider what became of an effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Happened:
    """The effect happened, with this result."""

    result: Any = None


@dataclass(frozen=True)
class DidNotHappen:
    """It did not happen, and under this key it will not unless it is sent again."""


@dataclass(frozen=True)
class CannotSay:
    """The provider does not know (yet)."""

    reason: str


Answer = Happened | DidNotHappen | CannotSay
