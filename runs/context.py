"""What a workflow sees as `run`: every call answers from the journal, or does the next step.

The workflow's function is re-run from its top in each slice. Positions are counted in the
order of its calls; a finished step at a position answers with what was recorded, after its
name and arguments have been compared with what the code asks for now.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError

from runs import canonical, limits, telemetry, transitions
from runs.claims import Held
from runs.clock import database_now
from runs.declare import Tool, shortened
from runs.errors import (
    Denied,
    Fenced,
    InvalidArguments,
    Mismatch,
    NotCanonical,
    PayloadTooLarge,
    Refusal,
    StepError,
    StepFailed,
)
from runs.journal import Entry
from runs.transitions import Declared, Recording

ENDED = transitions.ENDED_STEP

# What ends an author's code and not this process: left alone, a `sys.exit()` would take each
# process with it that tries again.
AUTHOR_FAILURES = (Exception, SystemExit, asyncio.CancelledError)


class Parked(BaseException):
    """Leaves the workflow's function: the run waits. Not an `Exception`, so that an author's
    `except Exception` cannot swallow it."""

    def __init__(self, waiting_for: str, awaited: list[int] | None = None) -> None:
        self.waiting_for, self.awaited = waiting_for, awaited or []


class Stopped(BaseException):
    """Leaves the workflow's function: the engine cannot go on, for the reason that it carries.
    An author's `except Exception` cannot swallow it, and take the other branch."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Cancelled(BaseException):
    """Leaves the workflow's function: somebody asked to cancel the run."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A call that `run.gather` will make."""

    tool: Tool
    arguments: bytes


@dataclass(frozen=True, kw_only=True)
class SafeCall:
    """What a safe tool that runs in the worker gets as `call`: no key to use, no secret."""

    idempotency_key: str
    attempt: int
    log: logging.Logger
    secret: dict[str, str] = field(default_factory=dict)

    def heartbeat(self) -> None:
        """The claim is kept by the process; here only for tools written for both places."""


class RunContext:
    """The `run` of `def workflow(run, ...)`."""

    def __init__(
        self,
        *,
        claim: Held,
        tenant: str,
        seed: bytes,
        journal: dict[int, Entry],
        show_progress: Callable[[Held, int, int, str], None],
    ) -> None:
        self._claim = claim
        self._tenant = tenant
        self._journal = journal
        self._position = 0
        self._random = random.Random(seed)
        self._last = max(journal, default=-1)
        self._show_progress = show_progress
        self.declared: list[Declared] = []

    @property
    def id(self) -> uuid.UUID:
        return self._claim.id

    def call(self, tool: Tool, **arguments: Any) -> Any:
        """Runs one step and returns its result.

        Raises `InvalidArguments` when the tool does not take these arguments, `StepFailed`
        when it failed for good, `Denied` when people refused it or nobody consented in time.
        """
        return self.gather([self.prepare(tool, **arguments)])[0]

    def prepare(self, tool: Tool, **arguments: Any) -> Prepared:
        """A call for `gather`; the arguments are checked here."""
        if not isinstance(tool, Tool):
            raise InvalidArguments(f"{tool!r} is not a tool: declare it with @tool.")
        return Prepared(tool=tool, arguments=tool.arguments(arguments))

    def gather(self, calls: Iterable[Prepared], *, return_exceptions: bool = False) -> list[Any]:
        """Runs several steps; returns their results in the order of the calls.

        All of them settle. Then the first failure in that order is raised, or, with
        `return_exceptions=True`, stands in the list at its place.
        """
        prepared = list(calls)
        if len(prepared) > limits.MAX_GATHER:
            raise InvalidArguments(
                f"{len(prepared)} calls in one gather; at most {limits.MAX_GATHER} are taken."
            )
        places = [(self._next(), call) for call in prepared]
        outcomes = [self._step(position, call) for position, call in places]
        pending = [p for (p, _), outcome in zip(places, outcomes, strict=True) if outcome is None]
        if pending:
            waiting = set(pending)
            raise Parked(_in_words([c.tool for p, c in places if p in waiting]), pending)
        return [self._given(outcome, return_exceptions) for outcome in outcomes]

    def sleep(self, seconds: float | timedelta) -> None:
        """Waits; a run that sleeps holds no process."""
        span = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        if not 0 <= span.total_seconds() <= limits.MAX_SLEEP_SECONDS:
            raise InvalidArguments(
                f"run.sleep takes from 0 to {limits.MAX_SLEEP_SECONDS} seconds, not {seconds}."
            )
        position = self._next()
        arguments = canonical.encode({"seconds": span.total_seconds()})
        entry = self._recorded(position, "sleep", "sleep", arguments)
        if entry is None:
            self._record(
                position,
                "sleep",
                "sleep",
                arguments,
                status="waiting",
                event="step.waiting",
                wait=span,
            )
        elif entry.status == "succeeded":
            return
        elif entry.is_due:
            self._record(
                position, "sleep", "sleep", arguments, status="succeeded", event="step.succeeded"
            )
            return
        raise Parked("its sleep to end")

    def now(self) -> datetime:
        """The time at which this line was first reached, the same in every re-run; UTC."""
        position = self._next()
        arguments = canonical.encode({})
        entry = self._recorded(position, "now", "now", arguments)
        if entry is not None and entry.result is not None:
            return datetime.fromisoformat(canonical.decode(entry.result))
        now = database_now()
        result = canonical.encode(now.isoformat())
        self._record(
            position,
            "now",
            "now",
            arguments,
            status="succeeded",
            event="step.succeeded",
            result=result,
        )
        return now

    def uuid4(self) -> uuid.UUID:
        """A random UUID, the same in every re-run; drawn from the run's seed, costs no commit."""
        return uuid.UUID(int=self._random.getrandbits(128), version=4)

    def random(self) -> float:
        """A number from 0 up to 1, the same in every re-run; costs no commit."""
        return self._random.random()

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Shows how far the run is. Not part of the journal: only the newest is kept."""
        if self._position > self._last:
            try:
                self._show_progress(self._claim, done, total, note[: limits.MAX_NOTE_CHARACTERS])
            except (Fenced, DatabaseError, InterfaceError) as error:
                raise Stopped(error) from error

    def check_is_over(self) -> None:
        """Stops on a `Mismatch` when the journal holds steps that the code did not ask for."""
        beyond = sorted(p for p in self._journal if p >= self._position)
        if beyond:
            entry = self._journal[beyond[0]]
            recorded = f"the {entry.kind} {entry.name}"
            raise Stopped(Mismatch(beyond[0], recorded, "the end of the workflow"))

    def _next(self) -> int:
        if self._position >= limits.MAX_STEPS:
            raise InvalidArguments(f"A run has at most {limits.MAX_STEPS} steps.")
        position, self._position = self._position, self._position + 1
        return position

    def _recorded(self, position: int, kind: str, name: str, arguments: bytes) -> Entry | None:
        entry = self._journal.get(position)
        if entry is None:
            return None
        digest = canonical.step_digest(name, arguments)
        if (entry.kind, entry.name) != (kind, name):
            raise Stopped(
                Mismatch(position, f"the {entry.kind} {entry.name}", f"the {kind} {name}")
            )
        if entry.digest != digest:
            shown = arguments[:200].decode(errors="replace")
            recorded = f"{name} with arguments of digest {entry.digest.hex()[:16]}"
            found = f"{name} with arguments of digest {digest.hex()[:16]}: {shown}"
            raise Stopped(Mismatch(position, recorded, found))
        return entry

    def _step(self, position: int, call: Prepared) -> Any:
        """`(result,)`, a `StepError`, or None while it is pending."""
        tool = call.tool
        entry = self._recorded(position, "tool", tool.name, call.arguments)
        if entry is not None and entry.status in ENDED:
            return _answer(entry)
        if tool.is_remote:
            if entry is None:
                self.declared.append(self._declaration(position, call))
            return None
        if entry is not None and not entry.is_due:
            raise Parked(f"the next attempt of {tool.name}")
        return self._attempt(position, call, entry)

    def _declaration(self, position: int, call: Prepared) -> Declared:
        tool = call.tool
        return Declared(
            position=position,
            name=tool.name,
            effect=tool.effect,
            is_money=tool.money is not None,
            declaration=tool.declaration_digest,
            arguments=call.arguments,
            digest=canonical.step_digest(tool.name, call.arguments),
            key=canonical.step_key(self._tenant, self.id, position, tool.name),
        )

    def _attempt(self, position: int, call: Prepared, entry: Entry | None) -> Any:
        """One attempt of a safe tool in this process, and the commit of what became of it."""
        tool, began = call.tool, time.monotonic()
        attempt, failures = (1, 0) if entry is None else (entry.attempt + 1, entry.failures)
        key = canonical.step_key(self._tenant, self.id, position, tool.name)
        seen = SafeCall(
            idempotency_key=key, attempt=attempt, log=logging.getLogger(f"placet.tool.{tool.name}")
        )
        attributes = {"placet.run.id": str(self.id), "placet.attempt": attempt}
        error: dict[str, str] | None = None
        result: bytes | None = None
        is_final = False
        try:
            with telemetry.attempt(tool.name, attributes):
                result = canonical.encode(run_tool(tool, seen, canonical.decode(call.arguments)))
        except (Refusal, NotCanonical, PayloadTooLarge) as refusal:
            error, is_final = described(refusal), True
        except AUTHOR_FAILURES as failure:
            error = described(failure)
            seen.log.warning("%s failed: %s", tool.name, error["message"])
        failures += error is not None
        took = timedelta(seconds=time.monotonic() - began)
        common: dict[str, Any] = {"attempt": attempt, "failures": failures, "took": took}
        if error is None:
            self._record(
                position,
                "tool",
                tool.name,
                call.arguments,
                status="succeeded",
                event="step.succeeded",
                result=result,
                **common,
            )
            return (canonical.decode(result or b"null"),)
        common |= {"error": error, "body": canonical.encode({"error": error})}
        if is_final or failures >= tool.retry.attempts:
            self._record(
                position,
                "tool",
                tool.name,
                call.arguments,
                status="failed",
                event="step.failed",
                **common,
            )
            return StepFailed(error["message"], step=tool.name, kind=error["kind"])
        wait = timedelta(seconds=random.uniform(0, tool.retry.longest_wait_seconds(failures)))
        self._record(
            position,
            "tool",
            tool.name,
            call.arguments,
            status="ready",
            event="step.attempt_failed",
            wait=wait,
            **common,
        )
        raise Parked(f"the next attempt of {tool.name}, after: {error['message']}")

    def _record(
        self,
        position: int,
        kind: str,
        name: str,
        arguments: bytes,
        *,
        status: str,
        event: str,
        **more: Any,
    ) -> None:
        recording = Recording(
            position=position,
            kind=kind,
            name=name,
            status=status,
            event=event,
            arguments=arguments,
            digest=canonical.step_digest(name, arguments),
            key=canonical.step_key(self._tenant, self.id, position, name),
            **more,
        )
        try:
            is_cancelling = transitions.record(self._claim, recording)
        except (Fenced, DatabaseError, InterfaceError) as error:
            raise Stopped(error) from error
        if is_cancelling:
            raise Cancelled

    @staticmethod
    def _given(outcome: Any, return_exceptions: bool) -> Any:
        if not isinstance(outcome, StepError):
            return outcome[0]
        if return_exceptions:
            return outcome
        raise outcome


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


def _answer(entry: Entry) -> Any:
    if entry.status == "succeeded":
        return (canonical.decode(entry.result or b"null"),)
    error = entry.error or {"kind": entry.status, "message": f"{entry.name} was {entry.status}."}
    kind = Denied if entry.status == "denied" else StepFailed
    return kind(error["message"], step=entry.name, kind=error["kind"])


def _in_words(tools: list[Tool]) -> str:
    """What a gather waits for; without a number, because steps end one by one."""
    money = sum(tool.money is not None for tool in tools)
    parts = {
        "a payment to be decided and made": money == 1,
        "payments to be decided and made": money > 1,
        "a step of the executor": len(tools) - money == 1,
        "steps of the executor": len(tools) - money > 1,
    }
    return " and ".join(words for words, is_so in parts.items() if is_so)
