"""Statements that the database parses and plans once a connection, and not each time.

Django binds values on the client's side, so that every statement is a new one to PostgreSQL:
planning the statement that records a step took longer than carrying it out. A cursor of this
module binds on the server's side. It takes part in the transaction, and raises the errors, of
Django's connection.

The types of the values must follow from the statement: where one value stands in two places, or
beside an operator that takes several types, it needs a cast.
"""

from __future__ import annotations

import json
import select
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections
from django.db.backends.postgresql.base import Cursor as Plain
from django.db.models import JSONField, Model

Values = Mapping[str, Any] | Sequence[Any]


class Prepared:
    """A psycopg cursor whose statements are prepared, with Django's errors."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = psycopg.Cursor(connection.connection)
        self.fetchone = self._cursor.fetchone
        self.fetchall = self._cursor.fetchall

    def __enter__(self) -> Prepared:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def execute(self, statement: str, values: Values | None = None) -> None:
        self._connection.validate_no_broken_transaction()
        with self._connection.wrap_database_errors:
            self._cursor.execute(statement, values, prepare=True)


def cursor() -> Any:
    """A cursor for statements that run often, whose values need no conversion by Django.

    It is Django's own where somebody watches what is executed: a test, or telemetry.
    """
    connection: Any = connections[DEFAULT_DB_ALIAS]
    # As Django's own cursor does: once a task, a connection that the server dropped is replaced.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw = connection.connection
    is_watched = connection.execute_wrappers or connection.queries_logged
    if is_watched or raw.cursor_factory is not Plain:
        return connection.cursor()
    if raw.prepare_threshold is None:
        raw.prepare_threshold = 5
    return Prepared(connection)


def look_at_connections() -> None:
    """Lets go of connections of this thread that failed, or that the server has closed since: what
    is to be read from one that has asked nothing is its end. That costs no question, which Django
    would ask before the first statement. For whoever has waited, before the next work."""
    close_old_connections()
    opened: Any = connections.all(initialized_only=True)
    for connection in opened:
        raw = connection.connection
        if raw is None:
            continue
        if raw.closed or _is_readable(raw.fileno()):
            connection.close()
        else:
            connection.health_check_done = True


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class Columns:
    """The columns of a model, or those named of them, as a statement asks for them.

    Django takes longer to put a question together than the database to answer it; with these it
    is written once. What `split` makes of the answer is a row of the model as any other.
    """

    def __init__(self, model: type[Model], *names: str) -> None:
        fields = [f for f in model._meta.concrete_fields if not names or f.attname in names]
        self._model, self._names = model, [field.attname for field in fields]
        self._of_json = [i for i, field in enumerate(fields) if isinstance(field, JSONField)]
        self._key = next(i for i, field in enumerate(fields) if field.primary_key)

    def of(self, alias: str) -> str:
        return ", ".join(f'{alias}."{name}"' for name in self._names)

    def __len__(self) -> int:
        return len(self._names)

    def row(self, values: Sequence[Any]) -> Any:
        """The model's row; None where an outer join found none."""
        if values[self._key] is None:
            return None
        decoded = list(values)
        for i in self._of_json:
            if isinstance(decoded[i], str):
                decoded[i] = json.loads(decoded[i])
        return self._model.from_db(DEFAULT_DB_ALIAS, self._names, decoded)


def split(row: Sequence[Any], *columns: Columns) -> list[Any]:
    """The rows of the models whose columns were asked for first, and whatever came after them."""
    found = []
    for one in columns:
        found.append(one.row(row[: len(one)]))
        row = row[len(one) :]
    return [*found, *row]
