"""What follows an attempt that did not succeed: pure decisions, from the class and the counts.

Nobody guesses. A step whose effect may have happened is never called failed, nor paused: when its
attempts are spent, or may not be repeated, it is in doubt. A step of which it is known that
nothing happened pauses for a person, unless its author wanted to be told instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from runs import limits
from runs.errors import RetryLater

Ended = Literal["failed", "paused", "in_doubt"]
Draw = Callable[[float, float], float]
"""A random number between two others, as `random.uniform`."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often a failing step is tried, and how long between: full jitter below
    `base_seconds * 2 ** failures`, never more than `cap_seconds`.

    `total_seconds` ends all attempts, however many are left. Errors of the classes in
    `not_retried` spend them at once. What then becomes of a step that is known not to have had
    its effect is said by `spent`: with `ask` it pauses and a person says how it goes on, with
    `fail` the workflow gets a `StepFailed`.
    """

    attempts: int = 5
    base_seconds: float = 1.0
    cap_seconds: float = 60.0
    total_seconds: float | None = None
    not_retried: tuple[type[Exception], ...] = ()
    spent: Literal["ask", "fail"] = "ask"

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= limits.MAX_ATTEMPTS:
            raise ValueError(f"Retry.attempts must be from 1 to {limits.MAX_ATTEMPTS}.")
        if self.base_seconds < 0 or self.cap_seconds < 0:
            raise ValueError("Retry spans cannot be negative.")
        if self.total_seconds is not None and not (
            0 < self.total_seconds <= limits.MAX_RETRY_TOTAL_SECONDS
        ):
            raise ValueError(
                "Retry.total_seconds must be above 0, and at most"
                f" {limits.MAX_RETRY_TOTAL_SECONDS}."
            )
        if not isinstance(self.not_retried, tuple) or not all(
            isinstance(kind, type) and issubclass(kind, Exception) for kind in self.not_retried
        ):
            raise ValueError("Retry.not_retried is a tuple of classes of exceptions.")
        if self.spent not in ("ask", "fail"):
            raise ValueError(f"Retry.spent={self.spent!r}: it must be ask or fail.")

    def longest_wait_seconds(self, failures: int) -> float:
        """The upper bound of the wait after so many failures (1 or more)."""
        return float(min(self.cap_seconds, self.base_seconds * 2 ** min(failures - 1, 60)))


@dataclass(frozen=True, kw_only=True)
class Again:
    """The step is tried again, after so long."""

    wait_seconds: float


@dataclass(frozen=True, kw_only=True)
class Tries:
    """What is known of a step: the attempt that has just ended is counted."""

    effect: str
    failures: int
    unknowns: int
    left_seconds: float | None = None
    """Until the end of all its attempts, where there is one."""


def is_unknown(effect: str, error: BaseException) -> bool:
    """Whether an attempt that ended in this error may have had its effect."""
    return effect != "safe" and not isinstance(error, RetryLater)


def after_error(tries: Tries, retry: Retry, error: BaseException, draw: Draw) -> Again | Ended:
    """What follows an error that is no definitive answer, or a definitive "not now"."""
    if tries.effect == "once" and tries.unknowns:
        return "in_doubt"
    if isinstance(error, retry.not_retried) or tries.failures >= retry.attempts:
        return spent(retry, tries.unknowns)
    wait = _wait(retry, tries.failures, error, draw)
    if tries.left_seconds is not None:
        is_too_late = isinstance(error, RetryLater) and wait > tries.left_seconds
        if tries.left_seconds <= 0 or is_too_late:
            return spent(retry, tries.unknowns)
        wait = min(wait, tries.left_seconds)
    return Again(wait_seconds=wait)


def spent(retry: Retry, unknowns: int) -> Ended:
    """What a step is whose attempts are spent."""
    if unknowns:
        return "in_doubt"
    return "failed" if retry.spent == "fail" else "paused"


def after_death(effect: str, deaths: int) -> Again | Ended:
    """What follows when the process of an attempt was lost, counted with this death.

    The first time at once; a step that goes on killing its process waits ever longer, and the
    last time that is let pass makes it poison.
    """
    if effect == "once":
        return "in_doubt"
    if deaths >= limits.MAX_DEATHS:
        return "paused" if effect == "safe" else "in_doubt"
    return Again(wait_seconds=0.0 if deaths <= 1 else min(60.0, 2.0 ** min(deaths - 1, 6)))


def _wait(retry: Retry, failures: int, error: BaseException, draw: Draw) -> float:
    if isinstance(error, RetryLater) and error.after_seconds is not None:
        # What the provider asked for, and a little more: not all of them in the same moment.
        return error.after_seconds + draw(0, retry.base_seconds)
    return draw(0, retry.longest_wait_seconds(failures))
