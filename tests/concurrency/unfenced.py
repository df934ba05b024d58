"""Takes the fence away in the process that imports it, among its workflows: for twins of tests
that must then fail."""

from __future__ import annotations

import math
from typing import Any

from django.db import connection

from runs import claims

FENCES = {
    "fence = %s AND expires_at > clock_timestamp()": "%s::bigint > 0",
    "fence = %(fence)s AND expires_at > clock_timestamp()": "%(fence)s::bigint > 0",
}


def unfenced(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    for fence, nothing in FENCES.items():
        sql = sql.replace(fence, nothing)
    return execute(sql, params, many, context)


connection.execute_wrappers.append(unfenced)
claims.Held.check = lambda self: None  # type: ignore[method-assign]
# Nor does the keeper find out, nor the watchdog by the claim's age: either could win the race
# against the thawed thread that the twin is about.
claims.Held.lost_at = property(lambda self: math.inf)  # type: ignore[method-assign, assignment]
claims.Keeper._renew = lambda self, held: None  # type: ignore[method-assign]
