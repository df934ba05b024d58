"""Steps that a run begins and ends itself: a time, mail, a signal to another run, a child.

Others only wake a run; what its own steps came to, it writes down itself, so that only the holder
of its claim ever changes them. Steps of the executor are the exception.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from runs import canonical, children, signals, transitions
from runs.errors import Refused, StepError, StepFailed, TimedOut
from runs.handles import Handle, Outcome, answer
from runs.journal import Entry
from runs.leaving import Stopped
from runs.slice import Slice


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
