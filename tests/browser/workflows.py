"""A call of a remote tool whose one argument is whatever JSON can hold."""

from __future__ import annotations

from typing import Any

from runs import tool, workflow
from tests.zoo import note_once


@tool(effect="keyed")
def tell(call: Any, *, value: Any) -> None:
    """Tells the world something; it moves no money."""
    note_once("told", call.idempotency_key, value=value)


@workflow("telling", version=1)
def telling(run: Any, *, value: Any) -> Any:
    """Tells it once."""
    return run.call(tell, value=value)
