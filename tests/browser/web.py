"""The web process and the browser, as people have them; the other processes are played."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client, override_settings
from playwright.sync_api import Browser, BrowserContext, Page

from console.models import User
from tests.harness import PASSWORD, as_role
from tests.servers import Servers

START_SECONDS = 30.0
BY_HINT_MS = 10_000
"""How long a test waits for what a page shows: time for a busy machine, and yet well before a
part of a page looks by itself, which it does every 15 seconds."""


@contextlib.contextmanager
def web_process(servers: Servers, log: Path) -> Iterator[str]:
    """A uvicorn of its own with the environment of `web`; gives its address."""
    port = _free_port()
    environment = servers.environment("web") | {"PLACET_PORT": str(port)}
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "console.asgi:application",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/healthz"):
            return
        time.sleep(0.1)
    raise AssertionError(f"The web process did not start:\n{log.read_text()}")


class QuickArgon2(Argon2PasswordHasher):
    """With as little work as Argon2 allows. A hash says itself how much it takes, so the web
    process verifies these as it does its own, a hundred times faster, and leaves them as they are
    (see `console.hashers`). People with hashes of the product's own making sign in in
    `tests/pages/test_sign_in` and `tests/proof/test_main_job`."""

    time_cost, memory_cost, parallelism = 1, 8, 1


def let_people_sign_in() -> None:
    """The tests' people have MD5 for a password hash, which the web process does not take."""
    hasher = QuickArgon2()
    encoded = hasher.encode(PASSWORD, hasher.salt())
    with as_role("placet_owner"):
        User.objects.update(password=encoded)


@dataclass
class Console:
    """The console in a browser: sign in as somebody, look at pages."""

    address: str
    browser: Browser
    secret_key: str
    """What the web process signs sessions with."""
    faults: list[str] = field(default_factory=list)

    def open(self, username: str, **context: Any) -> Page:
        """A new browser profile, signed in as this person, at Home.

        By a session of theirs, and not by the sign-in page: that takes 30 a minute from one
        address, and all of these tests have one."""
        profile = self.profile(**context)
        with as_role("placet_web"), override_settings(SECRET_KEY=self.secret_key):
            client = Client()
            client.force_login(User.objects.get(username=username))
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": self.address}
        profile.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Lax"}])
        page = profile.new_page()
        self._listen(page)
        page.goto(f"{self.address}/")
        assert page.url == f"{self.address}/", "The session was not taken."
        return page

    def profile(self, **context: Any) -> BrowserContext:
        return self.browser.new_context(base_url=self.address, **context)

    def _listen(self, page: Page) -> None:
        """What the browser complains of: broken scripts, refused styles, missing files."""
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on(
            "console",
            lambda message: message.type == "error" and self.faults.append(message.text),
        )


def wait_for_live(page: Page) -> None:
    """Until the page's socket is open."""
    page.wait_for_selector("html[data-connected]", state="attached")


def chromium() -> str | None:
    """The browser to drive: the system's, unless playwright has one of its own."""
    found = map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))
    return os.environ.get("PLACET_CHROMIUM") or next(filter(None, found), None)
