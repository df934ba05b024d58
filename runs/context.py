"""What a workflow sees as `run`: every call answers from the journal, or does the next step.

The workflow's function is re-run from its top in each slice. Positions are counted in the
order of its calls; a finished step at a position answers with what was recorded, after its
name and arguments have been compared with what the code asks for now.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runs import canonical, limits, local, transitions
from runs.clock import database_now
from runs.declare import Tool
from runs.errors import (
    Denied,
    InvalidArguments,
    StepError,
    StepFailed,
)
from runs.journal import Entry
from runs.leaving import Parked
from runs.slice import Slice
from runs.transitions import Declared

ENDED = transitions.ENDED_STEP


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A call that `run.gather` will make."""

    tool: Tool
    arguments: bytes


class RunContext:
    """The `run` of `def workflow(run, ...)`."""

    def __init__(self, slice: Slice) -> None:
        self._slice = slice

    @property
    def id(self) -> uuid.UUID:
        return self._slice.id

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
        places = [(self._slice.next(), call) for call in prepared]
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
        position = self._slice.next()
        arguments = canonical.encode({"seconds": span.total_seconds()})
        entry = self._slice.recorded(position, "sleep", "sleep", arguments)
        if entry is None:
            self._slice.record(
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
            self._slice.record(
                position, "sleep", "sleep", arguments, status="succeeded", event="step.succeeded"
            )
            return
        raise Parked("its sleep to end")

    def now(self) -> datetime:
        """The time at which this line was first reached, the same in every re-run; UTC."""
        position = self._slice.next()
        arguments = canonical.encode({})
        entry = self._slice.recorded(position, "now", "now", arguments)
        if entry is not None and entry.result is not None:
            return datetime.fromisoformat(canonical.decode(entry.result))
        now = database_now()
        result = canonical.encode(now.isoformat())
        self._slice.record(
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
        return uuid.UUID(int=self._slice.random.getrandbits(128), version=4)

    def random(self) -> float:
        """A number from 0 up to 1, the same in every re-run; costs no commit."""
        return self._slice.random.random()

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Shows how far the run is. Not part of the journal: only the newest is kept."""
        self._slice.show_progress(done, total, note)

    def _step(self, position: int, call: Prepared) -> Any:
        """`(result,)`, a `StepError`, or None while it is pending."""
        tool = call.tool
        entry = self._slice.recorded(position, "tool", tool.name, call.arguments)
        if entry is not None and entry.status in ENDED:
            return _answer(entry)
        if tool.is_remote:
            if entry is None:
                self._slice.declared.append(self._declaration(position, call))
            return None
        if entry is not None and not entry.is_due:
            raise Parked(f"the next attempt of {tool.name}")
        return local.attempt(self._slice, position, call, entry)

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
            key=self._slice.key_of(position, tool.name),
        )

    @staticmethod
    def _given(outcome: Any, return_exceptions: bool) -> Any:
        if not isinstance(outcome, StepError):
            return outcome[0]
        if return_exceptions:
            return outcome
        raise outcome


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
