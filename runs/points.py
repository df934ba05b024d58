"""Named points of the engine: just after each commit, just before each outside call.

In production `reach` does nothing. The crash tests observe it, to end the process there.
"""

from __future__ import annotations

from collections.abc import Callable

observer: Callable[[str], None] | None = None


def reach(point: str) -> None:
    if observer is not None:
        observer(point)
