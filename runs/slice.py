"""One slice of a run, as the engine sees it: the journal by position, and what is added to it.

`RunContext` is the face of it that a workflow sees.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from runs import canonical, limits, positions, transitions
from runs.claims import Held
from runs.errors import Fenced, InvalidArguments, Mismatch
from runs.journal import Entry
from runs.leaving import Cancelled, Stopped
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
        self.declared: list[Declared] = []
        self._position = 0
        self._last = max((p for p in journal if p < positions.REPLACEMENT), default=-1)
        self._show_progress = show_progress

    def next(self) -> int:
        """The position of the next call of the workflow."""
        if self._position >= limits.MAX_STEPS:
            raise InvalidArguments(f"A run has at most {limits.MAX_STEPS} steps.")
        position, self._position = self._position, self._position + 1
        return position

    @property
    def is_new(self) -> bool:
        """Whether the workflow has come further than any slice before."""
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
            is_cancelling = transitions.record(self.claim, recording)
        except (Fenced, DatabaseError, InterfaceError) as error:
            raise Stopped(error) from error
        if is_cancelling:
            raise Cancelled

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
