"""A run's steps on a scale of time: which bar stands where. Pure; drawn by `runs/_flow.html`."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from console.pages.words import span

BEGINS = {
    "step.held": "held",
    "step.cleared": "queued",
    "step.ready": "queued",
    "step.attempt_failed": "waiting",
    "step.put_off": "waiting",
    "step.taken_over": "waiting",
    "step.started": "running",
    "step.waiting": "waiting",
}
KNEE_SECONDS = 0.2
"""On a shortened scale: about from here on, lengths count by their logarithm."""
MIN_WAIT_RATIO = 3
"""The scale is shortened only where the whole is this much longer than the work."""


class StepLike(Protocol):
    position: int
    kind: str
    status: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class EventLike(Protocol):
    kind: str
    position: int | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A step in one condition, from one moment to another."""

    what: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A stretch as it is drawn; `x` and `width` in per cent of the track."""

    what: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, kw_only=True)
class Flow:
    """All bars by the step's position, and whether long waits are drawn shortened."""

    bars: dict[int, list[Bar]]
    took: dict[int, str]
    is_shortened: bool


def draw(steps: Sequence[StepLike], events: Iterable[EventLike], now: datetime) -> Flow:
    by_position: dict[int, list[EventLike]] = defaultdict(list)
    for event in events:
        if event.position is not None:
            by_position[event.position].append(event)
    stretches = {s.position: stretches_of(s, by_position[s.position], now) for s in steps}
    scale = Scale([s for found in stretches.values() for s in found])
    return Flow(
        bars={position: [scale.bar(s) for s in found] for position, found in stretches.items()},
        took={position: _took(found) for position, found in stretches.items()},
        is_shortened=scale.is_shortened,
    )


def stretches_of(step: StepLike, events: Sequence[EventLike], now: datetime) -> list[Stretch]:
    """What the journal says of one step; what its row says, where the journal is silent."""
    last = step.finished_at or now
    changes = [(e.at, BEGINS.get(e.kind, "")) for e in events if e.kind.startswith("step.")]
    if not any(what for _, what in changes):
        begin = step.started_at or step.created_at
        what = "waiting" if step.kind == "sleep" else "running"
        return [Stretch(what=_final(what, step.status), begin=begin, end=max(begin, last))]
    found = []
    for index, (at, what) in enumerate(changes):
        end = changes[index + 1][0] if index + 1 < len(changes) else max(at, last)
        if what:
            is_last = not any(later for _, later in changes[index + 1 :])
            shown = _final(what, step.status) if is_last else what
            found.append(Stretch(what=shown, begin=at, end=end))
    return found


def _final(what: str, status: str) -> str:
    """The last work of a step takes the colour of what became of it."""
    if what == "running" and status == "succeeded":
        return "good"
    if what == "running" and status in ("failed", "in_doubt"):
        return "bad"
    return what


def _took(stretches: Sequence[Stretch]) -> str:
    if not stretches:
        return ""
    return span(stretches[-1].end - stretches[0].begin)


class Scale:
    """Moments to per cent; even, unless waits dwarf the work.

    A person may take hours where the work takes milliseconds; on an even scale nothing but
    the wait would be seen. Then each stretch counts by the logarithm of its length: order is
    kept, and each bar says its true length.
    """

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        edges = sorted({s.begin for s in stretches} | {s.end for s in stretches})
        pieces = list(itertools.pairwise(edges))
        work = [s for s in stretches if s.what in ("running", "good", "bad")]
        worked = sum((b - a for a, b in pieces if _overlaps(work, a, b)), timedelta())
        whole = edges[-1] - edges[0] if edges else timedelta()
        self.is_shortened = len(pieces) > 1 and whole > worked * MIN_WAIT_RATIO
        weights = [self._weight(b - a) for a, b in pieces]
        total = sum(weights) or 1.0
        self._at: dict[datetime, float] = {edges[0]: 0.0} if edges else {}
        reached = 0.0
        for (_, end), weight in zip(pieces, weights, strict=True):
            reached += 100 * weight / total
            self._at[end] = reached

    def _weight(self, length: timedelta) -> float:
        seconds = length.total_seconds()
        return math.log1p(seconds / KNEE_SECONDS) if self.is_shortened else seconds

    def bar(self, stretch: Stretch) -> Bar:
        x, end = self._at[stretch.begin], self._at[stretch.end]
        width = min(max(end - x, 0.4), 100.0)
        title = f"{_named(stretch.what)} for {span(stretch.end - stretch.begin)}"
        return Bar(what=stretch.what, x=round(min(x, 99.6), 3), width=round(width, 3), title=title)


def _overlaps(stretches: Sequence[Stretch], begin: datetime, end: datetime) -> bool:
    return any(s.begin < end and s.end > begin for s in stretches)


def _named(what: str) -> str:
    return {"good": "Ran", "bad": "Ran", "running": "Running"}.get(what, what.capitalize())
