"""What the bank remembers: payments, calls and switches, in one SQLite file.

Each answer to a payment order is decided and recorded in one transaction, so that the
count of calls, the ledger and the switches never disagree, whenever the process dies.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

PAGE_SIZE = 1_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS payment (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    iban TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    reference TEXT NOT NULL,
    creditor TEXT NOT NULL,
    executed_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS payment_reference ON payment (reference);
CREATE TABLE IF NOT EXISTS call (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    outcome TEXT NOT NULL,
    is_dropped INTEGER NOT NULL DEFAULT 0,
    at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS call_key ON call (key);
CREATE TABLE IF NOT EXISTS switch (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""
BUSY_SECONDS = 1
# What each switch does, in words for the page, and the largest value that it takes.
SWITCHES: Mapping[str, tuple[str, int]] = {
    "fail": ("Answer the next so many orders with 503 and perform nothing.", 1_000_000),
    "busy": (
        f"Answer the next so many orders with 429 and Retry-After: {BUSY_SECONDS}, and perform"
        " nothing.",
        1_000_000,
    ),
    "refuse": ("Refuse the next so many new orders for good (422).", 1_000_000),
    "drop": ("Perform the next so many orders, then drop the line unanswered.", 1_000_000),
    "delay_seconds": ("Hold back every answer to an order for so long.", 600),
}


class Outcome(StrEnum):
    """How one call of `POST /payments` ended."""

    PERFORMED = "performed"
    REPLAYED = "replayed"
    REFUSED = "refused"
    FAILED = "failed"
    BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the bank does about one order, once it is recorded."""

    outcome: Outcome
    payment: dict[str, Any] | None = None
    detail: str = ""
    is_dropped: bool = False


class Ledger:
    """The bank's file. Used from one thread; SQLite's lock keeps other processes apart."""

    def __init__(self, path: Path) -> None:
        self._rows = sqlite3.connect(path, isolation_level=None)
        self._rows.row_factory = sqlite3.Row
        self._rows.execute("PRAGMA journal_mode = DELETE")
        # A payment that was answered must survive a power cut, as at a real bank.
        self._rows.execute("PRAGMA synchronous = FULL")
        self._rows.executescript(SCHEMA)

    def pay(self, *, key: str, order: dict[str, Any]) -> Answer:
        """Decide about one valid order and record the call, in one transaction."""
        with self._transaction():
            answer = self._decide(key, order)
            performed = answer.outcome in (Outcome.PERFORMED, Outcome.REPLAYED)
            dropped = performed and self._spend("drop")
            self._count(key, answer.outcome, is_dropped=dropped)
        return Answer(
            outcome=answer.outcome,
            payment=answer.payment,
            detail=answer.detail,
            is_dropped=dropped,
        )

    def refuse(self, *, key: str) -> None:
        """Record a call that was turned away before the ledger was asked."""
        with self._transaction():
            self._count(key, Outcome.REFUSED)

    def _decide(self, key: str, order: dict[str, Any]) -> Answer:
        if self._spend("fail"):
            return Answer(outcome=Outcome.FAILED, detail="The bank is out of order. Try again.")
        if self._spend("busy"):
            return Answer(outcome=Outcome.BUSY, detail="These are too many orders at once.")
        digest = hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()
        known = self._rows.execute("SELECT * FROM payment WHERE key = ?", [key]).fetchone()
        if known is not None and known["digest"] == digest:
            return Answer(outcome=Outcome.REPLAYED, payment=_payment(known))
        if known is not None:
            detail = "This Idempotency-Key was used before with a different order."
            return Answer(outcome=Outcome.REFUSED, detail=detail)
        if self._spend("refuse"):
            return Answer(outcome=Outcome.REFUSED, detail="The payee's bank refused the payment.")
        return Answer(outcome=Outcome.PERFORMED, payment=self._perform(key, digest, order))

    def _perform(self, key: str, digest: str, order: dict[str, Any]) -> dict[str, Any]:
        row = self._rows.execute(
            "INSERT INTO payment (key, digest, iban, amount_minor, currency, reference,"
            " creditor, executed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
            [
                key,
                digest,
                order["iban"],
                order["amount_minor"],
                order["currency"],
                order["reference"],
                order["creditor"],
                _now(),
            ],
        ).fetchone()
        return _payment(row)

    def find_payment(self, payment_id: str) -> dict[str, Any] | None:
        number = payment_id.removeprefix("SB-")
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            return None
        found = self._rows.execute("SELECT * FROM payment WHERE number = ?", [int(number)])
        row = found.fetchone()
        return _payment(row) if row is not None and _payment(row)["id"] == payment_id else None

    def find_payments(
        self, *, key: str | None = None, reference: str | None = None, after: int = 0
    ) -> list[dict[str, Any]]:
        """Up to `PAGE_SIZE` payments in the order of their execution, from after a number."""
        rows = self._rows.execute(
            "SELECT * FROM payment WHERE number > :after AND (:key IS NULL OR key = :key)"
            " AND (:reference IS NULL OR reference = :reference) ORDER BY number LIMIT :limit",
            {"after": after, "key": key, "reference": reference, "limit": PAGE_SIZE},
        )
        return [_payment(row) for row in rows]

    def newest_payments(self, limit: int) -> list[dict[str, Any]]:
        rows = self._rows.execute("SELECT * FROM payment ORDER BY number DESC LIMIT ?", [limit])
        return [_payment(row) for row in rows]

    def calls(self) -> dict[str, dict[str, int]]:
        """The calls of `POST /payments` by idempotency key; "" where none was given."""
        rows = self._rows.execute(
            "SELECT key, count(*) AS calls, sum(outcome = 'performed') AS performed,"
            " sum(outcome = 'replayed') AS replayed, sum(outcome = 'refused') AS refused,"
            " sum(outcome IN ('failed', 'busy')) AS failed,"
            " sum(is_dropped) AS dropped"
            " FROM call GROUP BY key ORDER BY min(number)"
        )
        return {counts.pop("key"): counts for counts in map(dict, rows)}

    def switches(self) -> dict[str, float]:
        rows = dict(self._rows.execute("SELECT name, value FROM switch").fetchall())
        return {
            name: float(rows.get(name, 0)) if name == "delay_seconds" else int(rows.get(name, 0))
            for name in SWITCHES
        }

    def set_switches(self, values: Mapping[str, float]) -> None:
        """Set all switches; one that is not named goes back to 0."""
        with self._transaction():
            self._rows.execute("DELETE FROM switch")
            self._rows.executemany("INSERT INTO switch VALUES (?, ?)", list(values.items()))

    def _spend(self, name: str) -> bool:
        """Take one off a counting switch; whether there was one to take."""
        found = self._rows.execute(
            "UPDATE switch SET value = value - 1 WHERE name = ? AND value >= 1", [name]
        )
        return found.rowcount == 1

    def _count(self, key: str, outcome: Outcome, *, is_dropped: bool = False) -> None:
        self._rows.execute(
            "INSERT INTO call (key, outcome, is_dropped, at) VALUES (?, ?, ?, ?)",
            [key, outcome, is_dropped, _now()],
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._rows.execute("ROLLBACK")
            raise
        self._rows.execute("COMMIT")


def _payment(row: sqlite3.Row) -> dict[str, Any]:
    shown = {name: value for name, value in dict(row).items() if name not in ("number", "digest")}
    return {"id": f"SB-{row['number']:08d}", **shown}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
