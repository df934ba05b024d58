"""Authors' code that fails in ways that could take a whole process with it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from runs import Retry, tool, workflow

TWICE = Retry(attempts=2, base_seconds=0.01, cap_seconds=0.01, spent="fail")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this works")

    __repr__ = __str__


def fail(how: str) -> None:
    if how == "exit":
        sys.exit("the library thinks that it is a program")
    if how == "cancelled":
        raise asyncio.CancelledError("somebody's timeout")
    raise Unprintable


@tool(effect="safe", retry=TWICE)
def fail_in_the_worker(call: Any, *, how: str) -> None:
    """Fails where workflows run."""
    fail(how)


@tool(effect="keyed", retry=TWICE)
def fail_in_the_executor(call: Any, *, how: str) -> None:
    """Fails where effects happen."""
    fail(how)


@workflow("failing", version=1)
def failing(run: Any, *, how: str, where: str) -> None:
    """Fails in a tool, or by itself."""
    tools = {"worker": fail_in_the_worker, "executor": fail_in_the_executor}
    if where in tools:
        run.call(tools[where], how=how)
    fail(how)
