"""Pictures of every page, in every state that looks different, to be looked at by people.

    python -m tests.browser.gallery OUT_DIR [WORD ...]

Each state is pictured at 1440 and at 390 pixels, in light and in dark, and its words are written
beside it; a WORD takes only the scenes whose names hold it. At its end it says which pages were
not shown, which were wider than their window, cut their words or had too little contrast, and which
scenes broke, and ends with 1 where there was any.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

    from tests.browser.web import Console
    from tests.harness import World
    from tests.servers import Servers

    Scene = Callable[[World, Page], Iterator[str]]

SIZES = ((1440, 900), (390, 844))
SCHEMES: tuple[Any, ...] = ("light", "dark")
NO_PAGES = {"healthz", "readyz", "theme", "gate-look"}
"""What answers a monitor or a script, or leads back to where somebody was."""
SHOWS = (200, 409, 422)
LEADS_ON = {("key-revoke", "POST"), ("scope-revoke", "POST"), ("batch-decide", "POST")}
"""The table of rights has them refused or led on; with what exists they ask or show something."""
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
CUT = """() => [...document.querySelectorAll('body *')].filter(e => {
  const style = getComputedStyle(e);
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return own && e.checkVisibility() && e.clientWidth > 2 && e.scrollWidth > e.clientWidth + 1
    && style.overflowX !== 'visible' && style.overflowX !== 'auto' && style.clipPath === 'none';
}).map(e => e.textContent.trim().slice(0, 60))"""


@dataclass
class Gallery:
    """What was pictured so far, and what was wrong with it."""

    out: Path
    shown: set[tuple[str, str]] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    _answers: dict[Page, tuple[str, int]] = field(default_factory=dict)

    def watch(self, page: Page) -> None:
        """Notes how each of its pages was asked for, and what was answered."""

        def note(response: Response) -> None:
            request = response.request
            if request.is_navigation_request() and request.frame == page.main_frame:
                self._answers[page] = (request.method, response.status)

        page.on("response", note)

    def take(self, page: Page, scene: str, state: str) -> None:
        """The page as it stands, in each variant."""
        from tests.browser.test_appearance import CONTRASTS

        page.wait_for_load_state()
        method, status = self._answers.get(page, ("GET", 200))
        room, what = page_at(page.url, status)
        self.shown.add((what, method))
        name = self._unused(slug(room, what, scene, "" if state.startswith("/") else state))
        (self.out / f"{name}.txt").write_text(page.locator("body").inner_text())
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            # The window is as high as the page: what stays at its end would hide what is behind.
            whole = max(height, page.evaluate("document.documentElement.scrollHeight"))
            page.set_viewport_size({"width": width, "height": whole})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                path = self.out / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=path, animations="disabled")
                for words in page.evaluate(CONTRASTS, False):
                    self.wrong.append(f"{name} has too little contrast, {scheme}: {words}")
            if page.evaluate(WIDE):
                self.wrong.append(f"{name} is wider than {width} pixels.")
            for words in page.evaluate(CUT):
                self.wrong.append(f"{name} at {width} pixels cuts {words!r}.")

    def _unused(self, name: str) -> str:
        number, found = 1, name
        while found in self.names:
            number += 1
            found = f"{name}-{number}"
        self.names.add(found)
        return found

    def not_shown(self) -> list[str]:
        """The pages of the table of rights that nobody has a picture of."""
        from tests.pages.test_rights import BY_SESSION, TABLE

        rows = {row for row, expected in TABLE.items() if expected.answer in SHOWS} | LEADS_ON
        wanted = {row for row in rows if row[0] not in NO_PAGES}
        wanted |= {(name, "GET") for name in BY_SESSION}
        return sorted(f"{name} ({method})" for name, method in wanted - self.shown)


def page_at(url: str, status: int) -> tuple[str, str]:
    """The room and the name of the page that answers here; refusals are a room of their own."""
    from django.urls import Resolver404, resolve

    path = urlsplit(url).path
    room = path.strip("/").partition("/")[0] or "home"
    if status in (403, 404, 429) or status >= 500:
        return "refusals", str(status)
    try:
        return room, str(resolve(path).url_name)
    except Resolver404:
        return room, "none"


def slug(*parts: str) -> str:
    words = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts]
    return "-".join(word for word in words if word)[:120]


@contextmanager
def servers() -> Iterator[Servers]:
    """As the tests have them, in a home of their own."""
    from tests import servers as real
    from tests.conftest import set_up

    home = Path(tempfile.mkdtemp(prefix="placet-"))
    started = real.start(home)
    close = set_up(started)
    # Playwright keeps an event loop in this thread, in which Django sees danger to its
    # connections; there is none, because only this thread uses them.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        yield started
    finally:
        close()
        started.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def console(servers: Servers) -> Iterator[Console]:
    """The web process under its name, which passkeys need, and a browser; hints are sent."""
    from django.conf import settings
    from playwright.sync_api import expect, sync_playwright

    from console.live.publish import publish
    from runs import dispatch
    from tests.browser.web import BY_HINT_MS, Console, chromium, web_process

    settings.STATIC_ROOT.mkdir(exist_ok=True)
    expect.set_options(timeout=BY_HINT_MS)
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    with web_process(servers, servers.home / "web.log") as found, sync_playwright() as playwright:
        address = found.replace("127.0.0.1", "localhost")
        # Keys of the tests' own making were asked for at an address of theirs.
        settings.PLACET_ORIGINS = [address, *settings.PLACET_ORIGINS]
        browser: Browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        dispatch.plug_live(publish)
        yield Console(address, browser, servers.environment("web")["PLACET_SECRET_KEY"])
        dispatch.plug_live(None)
        browser.close()


def every_scene() -> dict[str, tuple[str, Scene]]:
    """Who looks, and the states that follow one another; those of `test_tree` as they are."""
    from tests.browser import (
        scenes_consent,
        scenes_house,
        scenes_people,
        scenes_runs,
        scenes_safety,
        scenes_steering,
        test_tree,
    )

    rooms = (scenes_house, scenes_runs, scenes_steering, scenes_consent, scenes_people,
             scenes_safety, test_tree)  # fmt: skip
    found = {name: scene for room in rooms for name, scene in room.SCENES.items()}
    assert len(found) == sum(len(room.SCENES) for room in rooms), "Two scenes have one name."
    return found


def show(gallery: Gallery, console: Console, world: World, name: str) -> None:
    """One scene in a world of its own; what it breaks on is said, and the next one follows."""
    from django.core.cache import cache

    from tests.browser.scenes import person_of

    username, scene = every_scene()[name]
    cache.clear()
    person_of(world, username)
    try:
        page = console.open(username) if username else console.profile().new_page()
        gallery.watch(page)
        for state in scene(world, page):
            gallery.take(page, name, state)
    except Exception as error:
        traceback.print_exc()
        gallery.wrong.append(f"The scene {name!r} broke: {str(error).splitlines()[0]}")
    for context in console.browser.contexts:
        context.close()


def main(out: Path, *words: str) -> int:
    out.mkdir(parents=True, exist_ok=True)
    gallery = Gallery(out)
    with servers() as started, console(started) as opened:
        from tests.harness import World

        logging.disable()
        for name in every_scene():
            if words and not any(word in name for word in words):
                continue
            print(name, flush=True)
            with World(started) as world:
                show(gallery, opened, world, name)
        missing = gallery.not_shown()
    print(f"{len(gallery.names)} states in {len(SIZES) * len(SCHEMES)} variants, in {out}")
    print(f"not shown: {', '.join(missing) or 'none'}")
    print("\n".join(gallery.wrong))
    return 1 if gallery.wrong or missing else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
