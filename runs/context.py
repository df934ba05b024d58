"""What a workflow sees as `run`: every call answers from the journal, or does the next step.

The workflow's function is re-run from its top in each slice. Positions are counted in the
order of its calls; a finished step at a position answers with what was recorded, after its
name and arguments have been compared with what the code asks for now.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

import pydantic

from runs import canonical, journal, lifecycle, limits, questions, schemas, signals
from runs.clock import database_now
from runs.declare import Tool, Workflow
from runs.errors import InvalidArguments, StepError
from runs.handles import Call, Handle, Prepared, given, in_words
from runs.leaving import ContinuedAsNew, Parked
from runs.ownsteps import Child, Mail, Sending, Timer
from runs.slice import Slice

HandleType = TypeVar("HandleType", bound=Handle)


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

    def begin(self, tool: Tool, **arguments: Any) -> Handle:
        """Begins one step and goes on; `.result()` of what is returned waits for it, and
        `run.first_of` and `run.all_of` take it. Raises `InvalidArguments`."""
        call = Call(self._slice, self._slice.next(), self.prepare(tool, **arguments))
        if call.poll() is None:
            self._slice.declare_now()
        return call

    def gather(
        self,
        calls: Iterable[Prepared],
        *,
        return_exceptions: bool = False,
        fail_fast: bool = False,
        at_once: int | None = None,
    ) -> list[Any]:
        """Runs several steps side by side; returns their results in the order of the calls.

        All of them settle. Then the first failure in that order is raised, or, with
        `return_exceptions=True`, stands in the list at its place. With `fail_fast=True` the
        first failure is raised as soon as there is one, and the others end by themselves.
        No more than `at_once` are begun before others have ended; each is, without it.
        """
        prepared = list(calls)
        if len(prepared) > limits.MAX_GATHER:
            raise InvalidArguments(
                f"{len(prepared)} calls in one gather; at most {limits.MAX_GATHER} are taken."
            )
        if at_once is not None and at_once < 1:
            raise InvalidArguments(f"at_once={at_once}: at least one step is begun at a time.")
        handles = [Call(self._slice, self._slice.next(), call) for call in prepared]
        if fail_fast:
            self._raise_first_failure(handles, at_once)
        pending = _polled(handles, at_once)
        if pending:
            is_bounded = at_once is not None and len(pending) == at_once
            positions = [handle.place for handle in pending]
            raise Parked(in_words(pending), positions, awaits_any=is_bounded)
        return [given(handle.poll(), return_exceptions) for handle in handles]

    def _raise_first_failure(self, handles: Sequence[Handle], at_once: int | None) -> None:
        """The failure that is seen first is remembered, so that each re-run raises the same."""
        position = self._slice.next()
        arguments = canonical.encode({"of": [handle.position for handle in handles]})
        entry = self._slice.recorded(position, "choice", "failure", arguments)
        if entry is None:
            pending = _polled(handles, at_once)
            failed = [h.position for h in handles if isinstance(h.poll_now(), StepError)]
            if not failed and pending:
                positions = [handle.place for handle in pending]
                raise Parked(in_words(pending), positions, awaits_any=True)
            chosen = failed[0] if failed else None
            self._choose(position, "failure", arguments, chosen)
        else:
            chosen = canonical.decode(journal.result_of(entry))
        if chosen is not None:
            given(next(h for h in handles if h.position == chosen).poll())

    def sleep(self, seconds: float | timedelta) -> None:
        """Waits; a run that sleeps holds no process."""
        self.timer(seconds).result()

    def sleep_until(self, moment: datetime) -> None:
        """Waits until a moment, which must carry its time zone."""
        if moment.tzinfo is None:
            raise InvalidArguments("run.sleep_until takes a moment with its time zone.")
        Timer(self._slice, self._slice.next(), until=moment).result()

    def timer(self, seconds: float | timedelta) -> Handle:
        """A time that comes, for `run.first_of`; it begins to run when the run next waits."""
        span = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if not 0 <= span <= limits.MAX_SLEEP_SECONDS:
            raise InvalidArguments(
                f"run.sleep takes from 0 to {limits.MAX_SLEEP_SECONDS} seconds, not {seconds}."
            )
        return _begun(Timer(self._slice, self._slice.next(), seconds=float(span)))

    def wait_for(self, signal: str, *, timeout: float | None = None) -> Any:
        """Waits for a signal of that name and returns what it carries.

        Signals of one name are taken in the order in which they were sent, one by each wait;
        one that was sent before the run came here is there already. Raises `TimedOut` when
        none came within `timeout` seconds.
        """
        return self.expect(signal, timeout=timeout).result()

    def expect(self, signal: str, *, timeout: float | None = None) -> Handle:
        """`run.wait_for` as a handle, for `run.first_of` and `run.all_of`."""
        if not 1 <= len(signal) <= limits.MAX_SIGNAL_NAME or signal.startswith(signals.RESERVED):
            raise InvalidArguments(
                f"A signal's name has 1 to {limits.MAX_SIGNAL_NAME} characters, not {signal!r}."
            )
        return _begun(
            Mail(
                self._slice,
                self._slice.next(),
                kind="signal",
                name=signal,
                arguments={},
                mailbox=signal,
                words=f"the signal {signal}",
                timeout_seconds=_checked_timeout(timeout),
            )
        )

    def ask(self, question: str, form: Any, *, timeout: float | None = None) -> Any:
        """Asks people, and returns their answer as the form has it. It moves no money.

        `form` is a pydantic model, or a JSON Schema of an object; the console renders it.
        Raises `TimedOut` when nobody answered within `timeout` seconds.
        """
        if not 1 <= len(question) <= limits.MAX_QUESTION_CHARACTERS:
            raise InvalidArguments(
                f"A question has 1 to {limits.MAX_QUESTION_CHARACTERS} characters."
            )
        position = self._slice.next()
        return Mail(
            self._slice,
            position,
            kind="ask",
            name="ask",
            arguments={"question": question, "form": _schema(form)},
            mailbox=questions.mailbox(position),
            words="the answer to a question",
            timeout_seconds=_checked_timeout(timeout),
        ).result()

    def send(self, run_id: uuid.UUID | str, signal: str, payload: Any = None) -> None:
        """Sends a signal to another run of this tenant, once. Raises `StepFailed` when there
        is no such run, or it has ended."""
        Sending(
            self._slice, self._slice.next(), to=uuid.UUID(str(run_id)), name=signal, payload=payload
        ).result()

    def start(self, workflow: Workflow | str, **input: Any) -> Child:
        """Starts a run of another workflow; `.id` is its id, `.result()` waits for what it
        comes to and raises `StepFailed` when it did not succeed. It is asked to end when this
        run ends before it. Raises `UnknownWorkflow` or `InvalidInput`."""
        return self._child(workflow, input, is_detached=False)

    def start_detached(self, workflow: Workflow | str, **input: Any) -> Child:
        """`run.start` for a run that goes on when this one has ended."""
        return self._child(workflow, input, is_detached=True)

    def _child(
        self, workflow: Workflow | str, input: dict[str, Any], *, is_detached: bool
    ) -> Child:
        name = workflow if isinstance(workflow, str) else workflow.name
        return Child(
            self._slice, self._slice.next(), workflow=name, input=input, is_detached=is_detached
        )

    def first_of(self, *handles: Handle) -> Handle:
        """The first of several that has an outcome, the same in every re-run; its `.result()`
        has it. Of those that have one at the same time, the first in this order."""
        _check_handles(handles)
        position = self._slice.next()
        arguments = canonical.encode({"of": [handle.position for handle in handles]})
        entry = self._slice.recorded(position, "choice", "first", arguments)
        if entry is not None:
            chosen = canonical.decode(journal.result_of(entry))
            return next(handle for handle in handles if handle.position == chosen)
        for handle in handles:
            if handle.poll() is not None:
                self._choose(position, "first", arguments, handle.position)
                return handle
        words = f"the first of: {in_words(list(handles))}"
        raise Parked(words, [handle.place for handle in handles], awaits_any=True)

    def all_of(self, *handles: Handle, return_exceptions: bool = False) -> list[Any]:
        """The results of several, in this order, once all of them have one; see `gather`."""
        _check_handles(handles)
        pending = [handle for handle in handles if handle.poll() is None]
        if pending:
            raise Parked(in_words(pending), [handle.place for handle in pending])
        return [given(handle.poll(), return_exceptions) for handle in handles]

    def patched(self, name: str) -> bool:
        """Whether this run follows the code that was changed under this name.

        True in a run that comes here for the first time, and remembered; False in a run that
        went on past this place before the change, which so follows the code of its time.
        """
        entry = self._slice.peek()
        arguments = canonical.encode({})
        if entry is not None and (entry.kind, entry.name) == ("patch", name):
            self._slice.recorded(self._slice.next(), "patch", name, arguments)
            return True
        if entry is not None or not self._slice.is_next_new:
            return False
        self._slice.record(
            self._slice.next(),
            "patch",
            name,
            arguments,
            status="succeeded",
            event="step.succeeded",
        )
        return True

    def continue_as_new(self, **input: Any) -> NoReturn:
        """Ends this run, and goes on in a new one of the same workflow with this input and an
        empty journal. Signals that it has not taken go along; whoever waits for this run waits
        for the new one. Raises `InvalidInput` when the input does not fit."""
        declared = lifecycle.get_workflow(self._slice.run.workflow)
        lifecycle.checked_input(declared, input)
        raise ContinuedAsNew(input)

    @property
    def should_continue(self) -> bool:
        """Whether the journal has become so long that `continue_as_new` is due."""
        return self._slice.is_next_new and self._slice.history >= limits.WARN_EVENTS

    def _choose(self, position: int, name: str, arguments: bytes, chosen: int | None) -> None:
        self._slice.record(
            position,
            "choice",
            name,
            arguments,
            status="succeeded",
            event="step.succeeded",
            result=canonical.encode(chosen),
        )

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


def _polled(handles: Sequence[Handle], at_once: int | None) -> list[Handle]:
    """Those that have no outcome yet, of which no more than `at_once` have been begun."""
    pending: list[Handle] = []
    for handle in handles:
        if at_once is not None and len(pending) == at_once:
            break
        if handle.poll() is None:
            pending.append(handle)
    return pending


def _begun(handle: HandleType) -> HandleType:
    handle.poll()
    return handle


def _check_handles(handles: Sequence[Handle]) -> None:
    if not handles or len(handles) > limits.MAX_GATHER:
        raise InvalidArguments(f"Wait for 1 to {limits.MAX_GATHER} handles, not {len(handles)}.")


def _checked_timeout(seconds: float | None) -> float | None:
    if seconds is not None and not 0 <= seconds <= limits.MAX_SLEEP_SECONDS:
        raise InvalidArguments(
            f"A timeout is from 0 to {limits.MAX_SLEEP_SECONDS} seconds, not {seconds}."
        )
    return None if seconds is None else float(seconds)


def _schema(form: Any) -> dict[str, Any]:
    if isinstance(form, type) and issubclass(form, pydantic.BaseModel):
        form = form.model_json_schema()
    try:
        schemas.check_form(form)
    except (ValueError, TypeError) as error:
        raise InvalidArguments(str(error)) from error
    return dict(form)
