"""What a run can wait for, each at a position of its own: here a call, the others in `ownsteps`.

A handle is asked again in every slice. Its outcome is `(value,)`, a `StepError`, or None while
there is none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from runs import canonical, journal, local, positions, replacing, settlements, transitions
from runs.declare import Tool
from runs.errors import (
    ChangesRequested,
    Denied,
    InvalidArguments,
    StepError,
    StepFailed,
    TimedOut,
)
from runs.journal import Entry
from runs.leaving import Parked
from runs.slice import Slice
from runs.transitions import Declared

Outcome = tuple[Any] | StepError | None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A call that `run.gather` will make."""

    tool: Tool
    arguments: bytes


class Handle(ABC):
    """Something that a run has begun, and whose result it may ask for later."""

    def __init__(self, slice: Slice, position: int) -> None:
        self._slice = slice
        self.position = self.place = position
        """`place` is where the step stands that has its outcome: people may have put another one
        with other arguments in the place of the first."""
        self._outcome: Outcome = None
        self._is_begun = False

    def poll(self) -> Outcome:
        """Its outcome, or None while there is none."""
        if self._outcome is None:
            self._outcome = self._poll()
        return self._outcome

    def poll_now(self) -> Outcome:
        """Its outcome as the last `poll` found it; one that was not asked is not begun."""
        return self._outcome

    def result(self) -> Any:
        """What it came to; the run waits until it has. Raises its `StepError`."""
        outcome = self.poll()
        if outcome is None:
            raise Parked(self.words, [self.place])
        return given(outcome)

    @property
    @abstractmethod
    def words(self) -> str:
        """What the run waits for, for people."""

    @abstractmethod
    def _poll(self) -> Outcome: ...


class Call(Handle):
    """One step that calls a tool."""

    def __init__(self, slice: Slice, position: int, prepared: Prepared) -> None:
        super().__init__(slice, position)
        self.tool = prepared.tool
        self.arguments = self._asked = prepared.arguments

    @property
    def words(self) -> str:
        return self._slice.reasons.get(self.position) or in_words([self])

    def _poll(self) -> Outcome:
        entry = self._slice.recorded(self.position, "tool", self.tool.name, self._asked)
        try:
            entry = self._newest(entry)
            while entry is not None and entry.status == "paused" and not self.tool.is_remote:
                if not local.settle(self._slice, self, entry):
                    return None
                entry = self._newest(self._slice.journal[self.place])
        except InvalidArguments as error:
            return StepFailed(error.message, step=self.tool.name, kind="InvalidArguments")
        if entry is not None and entry.status in transitions.ENDED_STEP:
            return answer(entry)
        if self.tool.is_remote:
            if entry is None and not self._is_begun:
                self._is_begun = True
                self._slice.begin()
                self._slice.declare(self._declaration())
            return None
        if entry is not None and not entry.is_due:
            self._slice.reasons[self.position] = f"the next attempt of {self.tool.name}"
            return None
        self._slice.begin()
        outcome: Outcome = local.attempt(self._slice, self, entry)
        return outcome

    def _newest(self, entry: Entry | None) -> Entry | None:
        """The step that stands in this place now: people may have given it other arguments."""
        while entry is not None and replacing.is_replaced(entry):
            said = settlements.agreed_about(entry.id, entry.attempt)
            if said is not None:
                self.arguments = replacing.checked(self.tool, bytes(said.result or b""))
            self.place = positions.replacement(self.place)
            entry = self._slice.journal.get(self.place)
        return entry

    def _declaration(self) -> Declared:
        return Declared(
            position=self.place,
            name=self.tool.name,
            effect=self.tool.effect,
            is_money=self.tool.money is not None,
            declaration=self.tool.declaration_digest,
            arguments=self.arguments,
            digest=canonical.step_digest(self.tool.name, self.arguments),
            key=self._slice.key_of(self.place, self.tool.name),
        )


def given(outcome: Outcome, return_exceptions: bool = False) -> Any:
    """The value of an outcome; its error is raised, or given back with `return_exceptions`."""
    if isinstance(outcome, tuple):
        return outcome[0]
    if return_exceptions or outcome is None:
        return outcome
    raise outcome


def answer(entry: Entry) -> Outcome:
    """The outcome that a step which has ended stands for."""
    if entry.status == "succeeded":
        return (canonical.decode(journal.result_of(entry)),)
    error = entry.error or {"kind": entry.status, "message": f"{entry.name} was {entry.status}."}
    kinds: dict[str, type[StepError]] = {"TimedOut": TimedOut}
    kind = kinds.get(error["kind"], StepFailed)
    if entry.status == "denied":
        kind = ChangesRequested if error["kind"] == "ChangesRequested" else Denied
    return kind(error["message"], step=entry.name, kind=error["kind"])


def in_words(pending: list[Handle]) -> str:
    """What a run waits for; without a number of steps, because they end one by one."""
    calls = [handle for handle in pending if isinstance(handle, Call) and handle.tool.is_remote]
    money = sum(call.tool.money is not None for call in calls)
    others = [handle.words for handle in pending if handle not in calls]
    parts = {
        "a payment to be decided and made": money == 1,
        "payments to be decided and made": money > 1,
        "a step of the executor": len(calls) - money == 1,
        "steps of the executor": len(calls) - money > 1,
        others[0] if others else "": len(set(others)) == 1,
        f"{others[0]} and {len(others) - 1} more" if others else "-": len(set(others)) > 1,
    }
    return " and ".join(words for words, is_so in parts.items() if is_so)
