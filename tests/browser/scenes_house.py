"""States of the rest for the gallery: the door, Home, what is empty, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.template.loader import render_to_string
from django.test import RequestFactory
from django.views.defaults import server_error
from playwright.sync_api import Page, Route

from tests.browser.scenes import EVERYTHING, NOBODY, Scene, send, visiting
from tests.harness import World

LOGIN = "/accounts/login/"


def at_the_door(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, LOGIN, "/accounts/inactive/", "/nowhere/")
    send(page, LOGIN, "Sign in", login="bob", password="wrong")
    yield "refused"
    page.context.clear_cookies()
    send_without_proof(page, LOGIN, "Sign in")
    yield "without its proof"
    page.goto(LOGIN)
    page.evaluate(
        """async () => {
          const form = document.querySelector('form');
          for (let i = 0; i < 40; i++) {
            await fetch(form.action, {method: 'POST', body: new FormData(form)});
          }
        }"""
    )
    send(page, "", "Sign in", login="bob", password="wrong")
    yield "too many attempts"


def send_without_proof(page: Page, address: str, button: str) -> None:
    """As a form that another site made somebody send."""
    page.goto(address)
    page.context.clear_cookies()
    send(page, "", button, login="x", password="x")


def around(world: World, page: Page) -> Iterator[str]:
    """What every page has around it."""
    page.goto("/")
    page.locator("#account summary").click()
    yield "account"
    page.get_by_role("button", name="Keyboard shortcuts").click()
    yield "keyboard"
    page.goto("/")
    more = page.locator(".nav-more summary")
    if more.is_visible():
        more.click()
    yield "more places"
    yield from visiting(page, "/patterns/", "/accounts/logout/", "/nowhere/")


def refusals(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/secrets/", "/gates/0193d1a0-0000-7000-8000-000000000000/")
    for status, body in (
        (500, server_error(RequestFactory().get("/")).content.decode()),
        (503, render_to_string("503.html")),
    ):
        page.route("**/inbox/", partial(_answer, status=status, body=body))
        yield from visiting(page, "/inbox/")
        page.unroute("**/inbox/")


def _answer(route: Route, *, status: int, body: str) -> None:
    """What the console answers when it cannot do better, without breaking its servers for it."""
    route.fulfill(status=status, body=body, content_type="text/html")


def homes(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/")


def everything_empty(world: World, page: Page) -> Iterator[str]:
    """A tenant in which nothing has happened, and which has no policy."""
    yield from visiting(
        page, "/", "/inbox/", "/runs/", "/questions/", "/schedules/", "/keys/", "/freezes/",
        "/breakglass/", "/delegations/", "/delegations/new/", "/changes/", "/groups/", "/policies/",
        "/policies/draft/", "/second-looks/", "/reviewers/", "/pace/", "/notices/",
        "/settings/notices/", "/secrets/", "/secrets/write/", "/audit/?q=x", "/audit/",
    )  # fmt: skip
    for view in ("mine", "waiting", "expiring", "decided", "closed"):
        page.goto(f"/inbox/?view={view}")
        yield view


def empty_for_a_reader(world: World, page: Page) -> Iterator[str]:
    yield from visiting(
        page, "/", "/inbox/", "/runs/", "/questions/", "/schedules/", "/freezes/", "/breakglass/",
        "/changes/", "/groups/", "/policies/", "/second-looks/", "/reviewers/", "/audit/",
    )  # fmt: skip


SCENES: dict[str, tuple[str, Scene]] = {
    "around": (EVERYTHING, around),
    "refusals": ("alice", refusals),
    "no role": ("newcomer", homes),
    "home of an operator": ("alice", homes),
    "home of an auditor": ("dave", homes),
    "home of an admin": ("erin", homes),
    "nothing yet": ("pioneer", everything_empty),
    "nothing to read": ("dave", empty_for_a_reader),
    "at the door": (NOBODY, at_the_door),
}
