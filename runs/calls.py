"""Calling an author's tool: what it gets as `call`, and how its error is kept."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runs.declare import Tool, shortened

# What ends an author's code and not this process: left alone, a `sys.exit()` would take each
# process with it that tries again.
AUTHOR_FAILURES = (Exception, SystemExit, asyncio.CancelledError)


@dataclass(frozen=True, kw_only=True)
class SafeCall:
    """What a safe tool that runs in the worker gets as `call`: no key to use, no secret."""

    idempotency_key: str
    attempt: int
    log: logging.Logger
    secret: dict[str, str] = field(default_factory=dict)

    def heartbeat(self) -> None:
        """The claim is kept by the process; here only for tools written for both places."""


def run_tool(tool: Tool, call: Any, arguments: dict[str, Any]) -> Any:
    """Calls the tool's function, also when it is an `async def`."""
    value = tool.function(call, **arguments)
    return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value


async def _awaited(value: Any) -> Any:
    return await value


def described(
    error: BaseException, scrub: Callable[[Any], Any] = lambda value: value
) -> dict[str, str]:
    """An error as it is kept: its class and its message, cut to the named limit.

    `scrub` comes before the cut, which could leave a part of a secret that nobody finds.
    """
    kind, message = scrub([type(error).__name__, _message(error)])
    return {"kind": kind, "message": shortened(_storable(message))}


def _storable(text: str) -> str:
    """Text as the journal and the database can keep it: no lone surrogate, no NUL."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _message(error: BaseException) -> str:
    try:
        return str(error) or repr(error)
    except Exception as failure:
        return f"Its message cannot be shown ({type(failure).__name__})."
