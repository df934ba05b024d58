"""Calling an author's tool: what it gets as `call`, and how its error is kept."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from runs import completions
from runs.beats import Beats, RunBeats
from runs.claims import Held
from runs.deadlines import AttemptTimedOut, Deadline, watchdog
from runs.declare import Tool, shortened
from runs.errors import Fenced, InvalidArguments

# What ends an author's code and not this process: left alone, a `sys.exit()` would take each
# process with it that tries again.
AUTHOR_FAILURES = (Exception, SystemExit, asyncio.CancelledError, AttemptTimedOut)


class EffectCall:
    """What a tool's function, and its probe, gets as `call` in the executor."""

    def __init__(
        self,
        *,
        idempotency_key: str,
        attempt: int,
        secret: Mapping[str, str],
        log: logging.Logger,
        held: Held,
        beats: Beats,
        last_details: Any,
    ) -> None:
        self.idempotency_key, self.attempt = idempotency_key, attempt
        self.secret, self.log, self.held = secret, log, held
        self.last_details = last_details
        """The details of the last heartbeat of an earlier attempt, or None."""
        self.deadline: Deadline | None = None
        self.completed_within: float | None = None
        self.is_left_to_outside = False
        self._beats = beats

    def heartbeat(self, details: Any = None) -> None:
        """Says that the tool lives, and where it is, for a later attempt (`last_details`).

        Raises `Fenced` when the claim is lost, so that a long tool can stop early.
        """
        if self.deadline is not None:
            self.deadline.beat()
        kept = {} if details is None else {"details": self._beats.details(details)}
        self._beats.tell(**kept)

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Shows how far the tool is; a heartbeat as well."""
        if self.deadline is not None:
            self.deadline.beat()
        self._beats.tell(done=max(done, 0), total=max(total, 0), note=self._beats.note(note))

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked to end the run; each heartbeat looks."""
        return self._beats.is_cancelled

    def complete_later(self, within_seconds: float | None = None) -> str:
        """Leaves the outcome to the outside; returns the token with which it is told, once.

        The step waits when the tool returns, at most `within_seconds` where they are given;
        then nobody knows its outcome. Only the hash of the token is kept.
        """
        token = completions.issue(self.held, self.attempt, within_seconds)
        self.is_left_to_outside, self.completed_within = True, within_seconds
        return token


class SafeCall:
    """What a safe tool that runs in the worker gets as `call`: no key to use, no secret."""

    def __init__(
        self, *, idempotency_key: str, attempt: int, log: logging.Logger, beats: RunBeats
    ) -> None:
        self.idempotency_key, self.attempt, self.log = idempotency_key, attempt, log
        self.secret: Mapping[str, str] = {}
        self.last_details = None
        self.deadline: Deadline | None = None
        self._beats = beats

    def heartbeat(self, details: Any = None) -> None:
        """Says that the tool lives. Details are kept in the executor only."""
        if self.deadline is not None:
            self.deadline.beat()
        self._beats.tell()

    def progress(self, done: int, total: int, note: str = "") -> None:
        """A heartbeat; how far a run is, its workflow says."""
        self.heartbeat()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked to end the run; each heartbeat looks."""
        return self._beats.is_cancelled

    def complete_later(self, within_seconds: float | None = None) -> str:
        """Only the executor's steps wait for the outside."""
        raise InvalidArguments("A safe tool without a secret cannot be completed later.")


def run_tool(
    tool: Tool,
    call: EffectCall | SafeCall,
    arguments: dict[str, Any],
    *,
    held: Held,
    overrun: Callable[[AttemptTimedOut], None],
    function: Callable[..., Any] | None = None,
) -> Any:
    """Calls the tool's function, also when it is an `async def`, for as long as it may take.

    Raises `AttemptTimedOut`, when the tool left because its time was over; one that does not
    leave loses its process, after `overrun` has recorded what is known. Raises `Fenced` when the
    claim is lost: before it begins, or because the tool was made to leave for that.
    """
    held.check()
    deadline = Deadline(tool, overrun, held)
    call.deadline = deadline
    try:
        with watchdog.watching(deadline):
            value = (function or tool.function)(call, **arguments)
            return asyncio.run(_awaited(value, deadline)) if inspect.isawaitable(value) else value
    except (AttemptTimedOut, asyncio.CancelledError):
        if deadline.fired is None:
            raise
        if deadline.is_for_the_claim:
            raise Fenced(str(deadline.fired)) from None
        raise deadline.fired from None


async def _awaited(value: Any, deadline: Deadline) -> Any:
    deadline.cancels(asyncio.get_running_loop(), asyncio.current_task())
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
