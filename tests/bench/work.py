"""What the measured runs do."""

from __future__ import annotations

from typing import Any

from runs import tool, workflow

PAYLOAD = "x" * 180


@tool(effect="safe")
def tick(call: Any, *, number: int) -> dict[str, Any]:
    """A step that does nothing and returns about 200 bytes."""
    return {"number": number, "payload": PAYLOAD}


@workflow("ticking", version=1)
def ticking(run: Any, *, steps: int) -> int:
    """That many steps, one after the other."""
    return sum(1 for number in range(steps) if run.call(tick, number=number))
