"""What a run can wait for, each at a position of its own: a call, a time, mail, another run.

A handle is asked again in every slice. Its outcome is `(value,)`, a `StepError`, or None while
there is none. Others only wake a run; what its own steps came to, it writes down itself, so
that only the holder of its claim ever changes them. Steps of the executor are the exception.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from runs import (
    canonical,
    children,
    journal,
    local,
    positions,
    replacing,
    settlements,
    signals,
    transitions,
)
from runs.declare import Tool
from runs.errors import (
    ChangesRequested,
    Denied,
    InvalidArguments,
    Refused,
    StepError,
    StepFailed,
    TimedOut,
)
from runs.journal import Entry
from runs.leaving import Parked, Stopped
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


class Own(Handle):
    """A step that the run itself begins and ends: kind, name and arguments are its identity."""

    kind: str

    def __init__(self, slice: Slice, position: int, name: str, arguments: Any) -> None:
        super().__init__(slice, position)
        self.name, self.arguments = name, canonical.encode(arguments)

    def _poll(self) -> Outcome:
        entry = self._slice.recorded(self.position, self.kind, self.name, self.arguments)
        if entry is not None and entry.status in transitions.ENDED_STEP:
            return answer(entry)
        if entry is None and not self._is_begun:
            self._slice.begin()
        return self._go_on(entry)

    @abstractmethod
    def _go_on(self, entry: Entry | None) -> Outcome: ...

    def _wait(self, *, span: timedelta | None = None, until: datetime | None = None) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._slice.wait(
                self.position, self.kind, self.name, self.arguments, wait=span, until=until
            )

    def _end(self, value: Any = None, *, event: str = "step.succeeded", **more: Any) -> Outcome:
        self._slice.record(
            self.position,
            self.kind,
            self.name,
            self.arguments,
            status="succeeded",
            event=event,
            result=None if value is None else canonical.encode(value),
            **more,
        )
        return (value,)

    def _fail(self, error: StepError) -> Outcome:
        told = {"kind": error.kind, "message": error.message}
        self._slice.record(
            self.position,
            self.kind,
            self.name,
            self.arguments,
            status="failed",
            event="step.failed",
            error=told,
            body=canonical.encode({"error": told}),
        )
        return error


class Timer(Own):
    """A time to come; its result is None."""

    kind = "sleep"

    def __init__(
        self,
        slice: Slice,
        position: int,
        *,
        seconds: float | None = None,
        until: datetime | None = None,
    ) -> None:
        arguments = {"seconds": seconds} if until is None else {"until": until.isoformat()}
        super().__init__(slice, position, "sleep", arguments)
        self._seconds, self._until = seconds, until

    @property
    def words(self) -> str:
        return "its sleep to end"

    def _go_on(self, entry: Entry | None) -> Outcome:
        if entry is None:
            span = None if self._seconds is None else timedelta(seconds=self._seconds)
            self._wait(span=span, until=self._until)
        elif entry.is_due:
            return self._end()
        return None


class Mail(Own):
    """A signal, or the answer to a question: the oldest in the mailbox that nobody has taken."""

    def __init__(
        self,
        slice: Slice,
        position: int,
        *,
        kind: str,
        name: str,
        arguments: dict[str, Any],
        mailbox: str,
        words: str,
        timeout_seconds: float | None,
    ) -> None:
        super().__init__(slice, position, name, arguments | {"timeout_seconds": timeout_seconds})
        self.kind, self._mailbox, self._words = kind, mailbox, words
        self._timeout_seconds = timeout_seconds

    @property
    def words(self) -> str:
        return self._words

    def _go_on(self, entry: Entry | None) -> Outcome:
        found = signals.oldest_in(self._slice.id, self._mailbox)
        if found is not None:
            value = canonical.decode(found.payload)
            return self._end(value, event="signal.taken", takes=found.id)
        if entry is None:
            seconds = self._timeout_seconds
            self._wait(span=None if seconds is None else timedelta(seconds=seconds))
        elif entry.has_deadline and entry.is_due:
            said = f"There was none within {self._timeout_seconds:g} seconds: {self._words}."
            return self._fail(TimedOut(said, step=self.name, kind="TimedOut"))
        return None


class Sending(Own):
    """A signal to another run."""

    kind = "send"

    def __init__(self, slice: Slice, position: int, *, to: UUID, name: str, payload: Any) -> None:
        super().__init__(slice, position, name, {"run": str(to), "payload": payload})
        self._to, self._payload = to, payload

    @property
    def words(self) -> str:
        return f"the signal {self.name} to be sent"

    def _go_on(self, entry: Entry | None) -> Outcome:
        # Sent first, once by its key, and recorded then: no two runs are locked together.
        try:
            signals.send_signal(
                run_id=self._to,
                tenant=self._slice.run.tenant,
                name=self.name,
                payload=self._payload,
                sender=f"run {self._slice.id}",
                dedup_key=self._slice.key_of(self.position, self.name),
            )
        except Refused as refused:
            kind = type(refused).__name__
            return self._fail(StepFailed(refused.message, step=self.name, kind=kind))
        except (DatabaseError, InterfaceError) as error:
            raise Stopped(error) from error
        return self._end()


class Child(Own):
    """Another run that this one has started. `id` is that of the run."""

    kind = "child"

    def __init__(
        self, slice: Slice, position: int, *, workflow: str, input: Any, is_detached: bool
    ) -> None:
        arguments = {"input": input, "detached": is_detached}
        super().__init__(slice, position, workflow, arguments)
        self._input, self._is_detached = input, is_detached
        self.id: UUID = self._begin()

    @property
    def words(self) -> str:
        return f"the run of {self.name} that it started"

    def _begin(self) -> UUID:
        entry = self._slice.recorded(self.position, self.kind, self.name, self.arguments)
        if entry is not None:
            return children.id_of(self._slice.run, self.position)
        return self._slice.start_child(
            self.position,
            self.name,
            self.arguments,
            input=self._input,
            is_detached=self._is_detached,
        )

    def _go_on(self, entry: Entry | None) -> Outcome:
        ended = children.outcome_of(self.id)
        if ended is None:
            return None
        if ended.status == "succeeded":
            return self._end(None if ended.result is None else canonical.decode(ended.result))
        return self._fail(StepFailed(ended.message, step=self.name, kind=ended.kind))


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
