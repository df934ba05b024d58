"""docs/reference/api.md says what the code does, all of it and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from console import strictjson
from console.access import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from console.api.api import api
from console.tokens import SCOPES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/api.md").read_text()
CODE = " ".join(path.read_text() for path in (ROOT / "console/api").glob("*.py"))
# A status with its word: the arguments of a problem, or a row of a table of refusals.
WORD = re.compile(r'(\d{3})[,:] \(? ?"([a-z-]+)"')


def test_every_refusal_is_in_the_table_under_its_status() -> None:
    in_code = set(WORD.findall(re.sub(r"\s+", " ", CODE)))
    in_page = {
        (status, word)
        for status, words in re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE)
        for word in re.findall(r"`([a-z-]+)`", words)
    }
    assert in_code == in_page


def test_every_call_and_scope_is_on_the_page() -> None:
    for path, methods in api.get_openapi_schema()["paths"].items():
        short = re.sub(r"\{\w+_id\}", "{id}", path.removeprefix("/api/v1/"))
        for method in methods:
            assert f"| `{method.upper()} {short}` |" in PAGE
    assert set(re.findall(r"^\| `(\w+:\w+)` \|", PAGE, re.MULTILINE)) == set(SCOPES)


def test_the_limits_are_those_of_the_code() -> None:
    assert f"`limit` is {DEFAULT_PAGE_SIZE} unless said, {MAX_PAGE_SIZE} at most" in PAGE
    assert f"{strictjson.MAX_BYTES:,} bytes" in PAGE
    assert f"nested at most {strictjson.MAX_DEPTH}" in PAGE
    assert strictjson.MAX_INTEGER == 2**53 - 1
