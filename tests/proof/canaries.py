"""Secrets that are easy to recognise, and a search that owes nothing to the code under test.

The search knows encodings of its own and finds a dozen characters of any of them, so that a
value that was cut in two by some limit is found as well as a whole one.
"""

from __future__ import annotations

import base64
import html
import json
import random
import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import psycopg

WINDOW = 12


def _fields(seed: int) -> dict[str, str]:
    """Plain; with quotes, spaces, percent signs, a backslash and Unicode; longer than what is
    kept of an error; and of several lines."""
    chance = random.Random(seed)

    def draw(count: int) -> str:
        return "".join(chance.choices(string.ascii_letters + string.digits, k=count))

    lines = ["-----BEGIN KEY-----", *(draw(64) for _ in range(6)), "-----END KEY-----"]
    return {
        "api_key": f"sk_live_{draw(24)}/+{draw(12)}==",
        "odd": f"{draw(12)} \"q\" 'a' <&> 100%25 {draw(8)}\\n é\u0301ß漢字🔑 {draw(16)}",
        "long": draw(5000),
        "pem": "\n".join(lines),
    }


FIELDS = _fields(1)
TWINS = _fields(2)
"""What is the same in both betrays nothing: escapes, and the frame of a key."""


def encodings(value: str) -> Iterator[str]:
    raw = value.encode()
    as_json = json.dumps(value)[1:-1]
    as_text = json.dumps(value, ensure_ascii=False)[1:-1]
    for text in (value, as_json, as_text, json.dumps(as_json)[1:-1], html.escape(value)):
        yield text
    yield raw.decode("latin-1")
    for text in (value, as_json, as_text):
        yield quote(text, safe="")
        yield quote_plus(text)
        yield quote(text, safe="").lower()
        yield text.encode().hex()
        yield text.encode().hex().upper()
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + text.encode()).decode()[4:-4]
            yield encoded
            yield encoded.replace("+", "-").replace("/", "_")
    yield repr(value)[1:-1]
    yield ascii(value)[1:-1]
    yield repr(raw)[2:-1]
    yield "".join(f"&#{ord(letter)};" for letter in value)


def _windows(values: Iterable[str]) -> set[str]:
    """Each dozen neighbouring characters of each encoding."""
    return {
        encoded[start : start + WINDOW]
        for value in values
        for encoded in encodings(value)
        for start in range(len(encoded) - WINDOW + 1)
    }


NEEDLES = _windows(FIELDS.values()) - _windows(TWINS.values())


def found_in(places: Mapping[str, str]) -> list[str]:
    """Where a canary shows, with what surrounds it; empty when it shows nowhere."""
    return [f"{name}: …{seen}…" for name, text in places.items() for seen in _first(text)]


def _first(text: str) -> Iterator[str]:
    for start in range(len(text) - WINDOW + 1):
        if text[start : start + WINDOW] in NEEDLES:
            yield text[max(0, start - 60) : start + 60]
            return


def rows_of_the_database(superuser_url: str) -> dict[str, str]:
    """Every row of every table, as text; what is stored as bytes is read as what it says."""
    with psycopg.connect(superuser_url) as connection:
        names = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        return {
            f"table {table}": "\n".join(
                _shown(value)
                for row in connection.execute(f'SELECT * FROM "{schema}"."{table}"')
                for value in row
            )
            for schema, table in names
        }


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{value.decode(errors='replace')}\n{value.decode('latin-1')}"
    if isinstance(value, dict | list):
        return f"{json.dumps(value)}\n{json.dumps(value, ensure_ascii=False)}\n{value}"
    return str(value)


def files_below(root: Path, *but: Path) -> dict[str, str]:
    """Every file, as text, without those in the directories that are left out."""
    return {
        f"file {path.relative_to(root)}": path.read_bytes().decode("latin-1")
        for path in root.rglob("*")
        if path.is_file() and not any(left in path.parents for left in but)
    }
