"""Real servers for every test that asks for them; started once, in a home of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests import servers as real

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Nothing is timed in a test: on a busy machine an example may take as long as it likes.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

SERVERS: real.Servers | None = None
PLENTY_BYTES = 8 * 2**30
LONGEST = ("crash", "proof", "embedded", "storm", "concurrency", "browser", "pages")
"""Where the longest files are: they come first, so that all end at about the same time."""


def pytest_configure(config: pytest.Config) -> None:
    """Before Django reads its settings: the servers, and this process as the owner."""
    global SERVERS
    # Where tests run side by side, each process that runs any has servers of its own.
    only_deals_them_out = config.getoption("numprocesses", None) and not hasattr(
        config, "workerinput"
    )
    if config.getoption("collectonly") or config.getoption("help") or only_deals_them_out:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
        return
    home = Path(tempfile.mkdtemp(prefix="placet-", dir=memory()))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    SERVERS = real.start(home)
    # What a process leaves behind that is killed goes with the servers.
    os.environ["TMPDIR"] = str(home / "tmp")
    (home / "tmp").mkdir()
    config.add_cleanup(SERVERS.stop)
    config.add_cleanup(set_up(SERVERS))


def memory() -> str | None:
    """Where files are kept in memory, if there is plenty of it. The servers sync as they do
    anywhere, and what they write survives all that a test does to them; but a disk would be what
    tests side by side wait for: a commit of a few bytes may write a whole megabyte there."""
    kept = Path("/dev/shm")
    if not os.access(kept, os.W_OK):
        return None
    free = min(
        shutil.disk_usage(kept).free, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    )
    return str(kept) if free >= PLENTY_BYTES else None


def set_up(servers: real.Servers) -> Callable[[], None]:
    """This process as the owner, with these servers; gives what closes its connections."""
    os.environ["PLACET_HOME"] = str(servers.home)
    os.environ["PLACET_PROCESS"] = "owner"
    os.environ["PLACET_WORKFLOWS"] = "tests.zoo"
    os.environ["PLACET_CLAIM_SECONDS"] = "3"
    os.environ["PLACET_SWEEP_SECONDS"] = "0.1"
    os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    from tests import harness

    harness.prepare(servers)
    return harness.close_connections


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path.parent.name))


def _rank(folder: str) -> int:
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Between processes only what UTF-8 can say is carried, and some tests log what it cannot."""
    return _sayable((yield))


def _sayable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_sayable(key): _sayable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_sayable(one) for one in value]
    return value


@pytest.fixture(scope="session")
def servers() -> real.Servers:
    """The servers of this session."""
    assert SERVERS is not None
    return SERVERS


@pytest.fixture
def world(servers: real.Servers) -> Iterator[object]:
    """An empty tenant with its people, and the processes to be played one after the other."""
    from tests.harness import World

    with World(servers) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module: playwright keeps an event loop in this thread meanwhile, in
    which tests of other modules could not run their own."""
    from playwright.sync_api import expect, sync_playwright

    from tests.browser.web import BY_HINT_MS, chromium

    expect.set_options(timeout=BY_HINT_MS)

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, in which Django sees danger to its
        # connections; there is none, because only this thread uses them.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        launched = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()
