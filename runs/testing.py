"""For authors' tests: proof that a tool does what its effect class says.

`keyed` is a promise about the provider: the same key, the same effect. Placet relies on it after
every error without an answer, so it is worth a test against the provider's sandbox.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from runs import canonical
from runs.declare import Tool


@dataclass(kw_only=True)
class PlayedCall:
    """What a tool gets as `call` in a test: a key and a secret that the test chooses."""

    idempotency_key: str
    attempt: int = 1
    secret: Mapping[str, str] = field(default_factory=dict)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("placet.testing"))
    last_details: Any = None
    is_cancelled: bool = False

    def heartbeat(self, details: Any = None) -> None:
        """Keeps the details, for the next attempt."""
        self.last_details = details if details is not None else self.last_details

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Nobody watches."""

    def complete_later(self, within_seconds: float | None = None) -> str:
        """A token that completes nothing."""
        return f"test.{self.attempt}.{uuid.uuid4().hex}"


def prove_keyed(
    tool: Tool,
    arguments: dict[str, Any],
    count_effects: Callable[[], int],
    *,
    other_arguments: dict[str, Any] | None = None,
    secret: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Calls a tool as the executor would after an unknown outcome, and counts its effects.

    Twice with one key: one effect, and the same result. With another key: another effect (with
    `other_arguments`, for a tool that does the same thing only once whatever its key).
    `count_effects` counts at the provider. Raises `AssertionError` with a sentence.
    """
    given = canonical.decode(tool.arguments(arguments))
    another = canonical.decode(tool.arguments(other_arguments or arguments))
    name, before = tool.name, count_effects()
    key, other = uuid.uuid4().hex, uuid.uuid4().hex
    first = _called(tool, PlayedCall(idempotency_key=key, secret=secret), given)
    _expect(count_effects() - before, 1, f"{name} was called once")
    second = _called(tool, PlayedCall(idempotency_key=key, attempt=2, secret=secret), given)
    _expect(count_effects() - before, 1, f"{name} was called twice with one key")
    if first != second:
        raise AssertionError(
            f"{name} was called twice with one key, and its results differ:"
            f" {first.decode()} and {second.decode()}."
        )
    _called(tool, PlayedCall(idempotency_key=other, secret=secret), another)
    _expect(count_effects() - before, 2, f"{name} was called with a second key")


def _called(tool: Tool, call: PlayedCall, arguments: dict[str, Any]) -> bytes:
    value = tool.function(call, **arguments)
    return canonical.encode(asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value)


async def _awaited(value: Any) -> Any:
    return await value


def _expect(found: int, expected: int, when: str) -> None:
    if found != expected:
        effects = "effect" if expected == 1 else "effects"
        raise AssertionError(f"{when}: it should have had {expected} {effects}, not {found}.")
