"""One slice of a run, as the engine sees it: the journal by position, and what is added to it.

`RunContext` is the face of it that a workflow sees.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from runs import canonical, lifecycle, limits, positions, transitions
from runs.claims import Held
from runs.errors import ClaimMissed, Fenced, HistoryFull, InvalidArguments, Mismatch
from runs.journal import Entry
from runs.leaving import Steered, Stopped
from runs.models import Run
from runs.transitions import Declared, Recording

ShowProgress = Callable[[Held, int, int, str], None]


class Slice:
    """What one re-run of a workflow answers from, and writes to."""

    def __init__(
        self, *, claim: Held, run: Run, journal: dict[int, Entry], show_progress: ShowProgress
    ) -> None:
        self.claim = claim
        self.run = run
        self.journal = journal
        self.random = random.Random(bytes(run.seed))
        self.reasons: dict[int, str] = {}
        """Why a step goes on later, by position, where there is more to say than its kind."""
        self.declared: list[Declared] = []
        self.waits: list[Recording] = []
        self._position = 0
        self.history = claim.last_seq
        """How many events the journal has."""
        self._last = max((p for p in journal if p < positions.REPLACEMENT), default=-1)
        self._show_progress = show_progress

    def next(self) -> int:
        """The position of the next call of the workflow."""
        if self.is_new and self.history >= limits.MAX_EVENTS:
            raise Stopped(HistoryFull(self.history))
        if self._position >= limits.MAX_STEPS:
            raise InvalidArguments(f"A run has at most {limits.MAX_STEPS} steps.")
        position, self._position = self._position, self._position + 1
        return position

    @property
    def is_new(self) -> bool:
        """Whether the workflow has come further than any slice before."""
        return self._position > self._last

    @property
    def is_next_new(self) -> bool:
        """Whether no slice has come to the next call before."""
        return self._position > self._last

    def peek(self) -> Entry | None:
        """What the journal holds at the position of the next call."""
        return self.journal.get(self._position)

    def recorded(self, position: int, kind: str, name: str, arguments: bytes) -> Entry | None:
        """What the journal holds at a position; stops on a `Mismatch` with what the code asks."""
        entry = self.journal.get(position)
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

    def record(
        self,
        position: int,
        kind: str,
        name: str,
        arguments: bytes,
        *,
        status: str,
        event: str,
        wait: timedelta | None = None,
        **more: Any,
    ) -> None:
        """Commits a step that the worker runs itself, and the event that says so."""
        recording = Recording(
            position=position,
            kind=kind,
            name=name,
            status=status,
            event=event,
            arguments=arguments,
            digest=canonical.step_digest(name, arguments),
            key=self.key_of(position, name),
            wait=wait,
            **more,
        )
        try:
            asked = transitions.record(self.claim, recording)
            self.history += 1
            self.claim.went_on_at = time.monotonic()
        except (Fenced, ClaimMissed, DatabaseError, InterfaceError) as error:
            raise Stopped(error) from error
        if asked:
            raise Steered(asked)

    def begin(self) -> None:
        """Something is about to be done that no slice before has done."""
        self.claim.went_on_at = time.monotonic()

    def declare(self, step: Declared) -> None:
        """A step for the executor, committed when the run parks."""
        self.declared.append(step)

    def declare_now(self) -> None:
        """Commits the steps that were declared, while the run goes on."""
        try:
            transitions.declare(self.claim, self.declared)
        except (Fenced, DatabaseError, InterfaceError) as error:
            raise Stopped(error) from error
        self.declared = []

    def wait(
        self,
        position: int,
        kind: str,
        name: str,
        arguments: bytes,
        *,
        wait: timedelta | None = None,
        until: datetime | None = None,
    ) -> None:
        """A step of the run's own that waits, committed when the run parks."""
        self.waits.append(
            Recording(
                position=position,
                kind=kind,
                name=name,
                status="waiting",
                event="step.waiting",
                arguments=arguments,
                digest=canonical.step_digest(name, arguments),
                key=self.key_of(position, name),
                attempt=0,
                wait=wait,
                until=until,
            )
        )

    def start_child(
        self, position: int, workflow: str, arguments: bytes, *, input: Any, is_detached: bool
    ) -> UUID:
        """Starts a run and commits the step that stands for it, together.

        Raises `UnknownWorkflow`, `InvalidInput` or `PayloadTooLarge`.
        """
        self.begin()
        declared = lifecycle.get_workflow(workflow)
        encoded = lifecycle.checked_input(declared, input)
        if self.run.depth >= limits.MAX_ANCESTORS:
            raise InvalidArguments(
                f"This run has {self.run.depth} ancestors; a chain of runs is no deeper than"
                f" {limits.MAX_ANCESTORS}."
            )
        recording = Recording(
            position=position,
            kind="child",
            name=workflow,
            status="waiting",
            event="step.waiting",
            arguments=arguments,
            digest=canonical.step_digest(workflow, arguments),
            key=self.key_of(position, workflow),
            attempt=0,
        )
        try:
            child, asked = transitions.start_child(
                self.claim,
                recording,
                parent=self.run,
                declared=declared,
                encoded=encoded,
                is_detached=is_detached,
            )
        except (Fenced, ClaimMissed, DatabaseError, InterfaceError) as error:
            raise Stopped(error) from error
        if asked:
            raise Steered(asked)
        return child

    def key_of(self, position: int, name: str) -> str:
        """The idempotency key of the step of that name at a position of this run."""
        return canonical.step_key(self.run.tenant, self.run.id, position, name)

    def show_progress(self, done: int, total: int, note: str) -> None:
        """Writes how far the run is, unless it has been further before."""
        if not self.is_new:
            return
        try:
            self._show_progress(self.claim, done, total, note[: limits.MAX_NOTE_CHARACTERS])
        except (Fenced, DatabaseError, InterfaceError) as error:
            raise Stopped(error) from error

    def check_is_over(self) -> None:
        """Stops on a `Mismatch` when the journal holds steps that the code did not ask for."""
        beyond = sorted(p for p in self.journal if self._position <= p < positions.REPLACEMENT)
        if beyond:
            entry = self.journal[beyond[0]]
            recorded = f"the {entry.kind} {entry.name}"
            raise Stopped(Mismatch(beyond[0], recorded, "the end of the workflow"))

    @property
    def id(self) -> UUID:
        return self.claim.id
