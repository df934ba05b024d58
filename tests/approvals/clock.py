"""The database's clock, stopped for some of its functions: that is how an edge is met exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from psycopg import sql

from tests.harness import admin


@contextmanager
def clock_stands_at(moment: datetime, *functions: str) -> Iterator[None]:
    """Within it, `clock_timestamp()` is this moment in the bodies of these functions."""
    stopped = sql.Literal(moment.isoformat()).as_string()
    with admin() as superuser:
        before = {
            name: superuser.execute("SELECT pg_get_functiondef(%s::regproc)", [name]).fetchone()[0]  # type: ignore[index]
            for name in functions
        }
        for body in before.values():
            assert "clock_timestamp()" in body
            superuser.execute(body.replace("clock_timestamp()", f"{stopped}::timestamptz").encode())
    try:
        yield
    finally:
        with admin() as superuser:
            for body in before.values():
                superuser.execute(body.encode())
