"""Counts what a process commits, so that a commit without a named point is found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

WRITES = re.compile(r"(?<!FOR )(?<!KEY )(?<!DO )\bUPDATE\s+\S|\bINSERT\s+INTO\b|\bDELETE\s+FROM\b")
# What may be lost in any moment without a trace: how far something is, and the claims of the
# dead, which end by themselves.
UPKEEP = re.compile(
    r"\s*(UPDATE runs_run SET progress_|WITH beat AS"
    r"|UPDATE runs_(step)?claim SET (expires_at = clock_timestamp\(\)|died_at))"
)


class Commits:
    """Watches one connection: each commit that wrote must be followed by a point of its own."""

    def __init__(self) -> None:
        self.unnamed: list[str] = []
        self._written: list[str] = []
        self._waiting: list[str] = []

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Watches for as long as the block runs."""
        commit, rollback = connection.commit, connection.rollback
        connection.commit = self._after(commit, self._commit)  # type: ignore[method-assign]
        connection.rollback = self._after(rollback, self._written.clear)  # type: ignore[method-assign]
        try:
            with connection.execute_wrapper(self._execute):
                yield
        finally:
            connection.commit, connection.rollback = commit, rollback  # type: ignore[method-assign]
        self.unnamed += self._waiting

    def named(self, point: str) -> None:
        """A point was reached."""
        if point.startswith("committed:"):
            self.unnamed += self._waiting[:-1]
            self._waiting.clear()

    def _execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        result = execute(sql, params, many, context)
        if WRITES.search(sql) and context["cursor"].rowcount != 0 and not UPKEEP.match(sql):
            self._written.append(" ".join(sql.split())[:100])
            if not connection.in_atomic_block:
                self._commit()
        return result

    def _commit(self) -> None:
        if self._written:
            self._waiting.append(self._written[0])
            self._written.clear()

    @staticmethod
    def _after(do: Callable[[], None], then: Callable[[], None]) -> Callable[[], None]:
        def done() -> None:
            do()
            then()

        return done
