"""Imported before Django is set up, so the fixtures import what they need."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.web import Console
    from tests.harness import World
    from tests.servers import Servers

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def address(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the web process of this session answers."""
    from django.conf import settings

    from tests.browser.web import web_process

    settings.STATIC_ROOT.mkdir(exist_ok=True)
    with web_process(servers, tmp_path_factory.mktemp("web") / "web.log") as running:
        yield running


@pytest.fixture
def console(world: World, servers: Servers, address: str, browser: Browser) -> Iterator[Console]:
    """The console of this world; a test fails when the browser complains of anything."""
    from console.live.publish import publish
    from runs import dispatch
    from tests.browser.web import Console

    dispatch.plug_live(publish)
    opened = Console(address, browser, servers.environment("web")["PLACET_SECRET_KEY"])
    yield opened
    dispatch.plug_live(None)
    for context in browser.contexts:
        context.close()
    assert opened.faults == []


@pytest.fixture
def named(console: Console, monkeypatch: pytest.MonkeyPatch) -> Console:
    """The console under its name, which passkeys need, as web, gatekeeper and executor know it."""
    from django.conf import settings

    address = console.address.replace("127.0.0.1", "localhost")
    monkeypatch.setattr(settings, "PLACET_ORIGINS", [address])
    return dataclasses.replace(console, address=address)
