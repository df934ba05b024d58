"""Style sheets, scripts and icons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

STATIC = Path("static")


def get(path: str, **headers: str) -> Any:
    return Client(SERVER_NAME="localhost").get(path, headers=headers)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("css/tokens.css", "text/css"),
        ("js/live.js", "text/javascript"),
        ("icons.svg", "image/svg+xml"),
        ("django_htmx/htmx-2.min.js", "text/javascript"),
    ],
)
def test_files_are_served_whole_and_not_twice(path: str, kind: str) -> None:
    first = get(f"/static/{path}")

    assert first.status_code == 200
    assert not first.streaming
    assert first.headers["Content-Type"].startswith(kind)
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert len(first.content) == int(first.headers["Content-Length"])
    again = get(f"/static/{path}", If_Modified_Since=first.headers["Last-Modified"])
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["css/none.css", "../console/settings.py", "%2e%2e/manage.py"])
def test_nothing_else_is_served(path: str) -> None:
    assert get(f"/static/{path}").status_code == 404


def test_no_file_reaches_outside_or_runs_text_as_code() -> None:
    for path in [*STATIC.glob("css/*.css"), *STATIC.glob("js/*.js")]:
        text = path.read_text()
        assert not re.search(r"https?://|@import|eval\(|innerHTML\s*=|document\.write", text), path


def test_every_icon_that_a_page_asks_for_is_drawn() -> None:
    drawn = set(re.findall(r'symbol id="([a-z-]+)"', (STATIC / "icons.svg").read_text()))
    asked = set()
    for path in [*Path("templates").rglob("*.html"), *Path("console/pages").glob("*.py")]:
        asked |= set(re.findall(r'(?:icon "|icon="|icon: str = ")([a-z-]+)"', path.read_text()))
    assert asked
    assert asked <= drawn


def test_htmx_is_the_one_that_django_htmx_ships() -> None:
    assert finders.find("django_htmx/htmx-2.min.js")
