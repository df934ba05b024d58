"""Open pages follow what happens, by hints, without losing what somebody does there."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Route, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from approvals.models import Gate
from tests.browser.web import BY_HINT_MS, Console, wait_for_live
from tests.harness import World
from tests.pages import visitors
from tests.servers import Servers


def test_a_gate_appears_in_an_open_inbox_and_greys_out_when_decided(
    world: World, console: Console
) -> None:
    page = console.open("bob")
    page.goto("/inbox/")
    wait_for_live(page)
    expect(page.get_by_text("Nothing waits for you")).to_be_visible()
    page.evaluate("window.isSamePage = true")

    row = page.locator("tr", has_text="€98.70")
    world.park_at_gates(9870)
    row.wait_for(timeout=BY_HINT_MS)
    expect(page.locator("#inbox-count")).to_contain_text("1")

    gate = Gate.objects.get()
    world.decide(gate, world.carol)
    closed = page.locator("tr.is-closed", has_text="€98.70")
    world.settle()
    closed.wait_for(timeout=BY_HINT_MS)
    expect(page.locator("#inbox-count")).not_to_contain_text("1")
    expect(page.get_by_role("link", name="Mine 0")).to_have_attribute("aria-current", "page")
    assert page.evaluate("window.isSamePage")


def test_what_waits_on_others_greys_out_when_they_decide(world: World, console: Console) -> None:
    run = world.start("paying", by=world.bob, amounts=[9870])
    world.settle()
    page = console.open("bob")
    page.goto("/inbox/?view=waiting")
    wait_for_live(page)
    expect(page.locator("tr", has_text="your own")).to_be_visible()

    world.decide(world.gates(run)[0], world.carol)
    world.settle()

    page.locator("tr.is-closed", has_text="€98.70").wait_for(timeout=BY_HINT_MS)
    expect(page.get_by_role("link", name="Waiting on others 0")).to_be_visible()


def press(what: Locator, path: str, happens: Callable[[], object]) -> None:
    """The mouse goes down on it, and then what is asked of this address because of what happens
    is answered: however long that took, the news come while the mouse is down."""
    page, waiting, is_down = what.page, list[Route](), False

    def keep(route: Route) -> None:
        if is_down:
            route.continue_()
        else:
            waiting.append(route)

    page.route(lambda address: urlsplit(address).path == path, keep)
    what.hover()
    happens()
    while not waiting:
        page.wait_for_timeout(20)
    page.mouse.down()
    is_down = True
    for route in waiting:
        route.continue_()


def test_what_is_pressed_when_news_come_is_still_clicked(world: World, console: Console) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob")
    page.goto("/inbox/")
    wait_for_live(page)
    page.evaluate(
        """() => document.addEventListener("htmx:beforeSwap", (event) => {
          const news = ["€42.00", "€17.00"].filter((m) => event.detail.serverResponse.includes(m));
          document.body.dataset.news = news.length;
        })"""
    )

    payee = page.get_by_role("columnheader", name="Payee")
    press(payee, "/inbox/", lambda: world.park_at_gates(4200))
    page.wait_for_selector("body[data-news='1']")
    expect(page.locator("tr", has_text="€42.00")).to_have_count(0)
    page.mouse.up()
    page.locator("tr", has_text="€42.00").wait_for(timeout=BY_HINT_MS)

    row = page.locator("tr", has_text="€98.70").get_by_role("link").first
    press(row, "/inbox/", lambda: world.park_at_gates(1700))
    page.wait_for_selector("body[data-news='2']")
    page.mouse.up()
    page.wait_for_url(f"{console.address}/gates/{gate.id}/")


def test_what_is_pressed_beside_a_part_that_brings_it_along_is_still_clicked(
    world: World, console: Console
) -> None:
    run = world.park_at_gates(9870, 4200)
    page = console.open("alice")
    page.goto(f"/runs/{run.id}/")
    wait_for_live(page)
    seq = page.locator("[data-seq]").get_attribute("data-seq")
    page.evaluate(
        """(seq) => document.addEventListener("htmx:beforeSwap", (event) => {
          const [, told] = event.detail.serverResponse.match(/data-seq="(\\d+)"/) ?? [];
          if (told && told !== seq) document.body.dataset.news = "1";
        })""",
        seq,
    )

    gate, pause = world.gates(run)[0], page.get_by_role("link", name="Pause")
    press(pause, f"/runs/{run.id}/", lambda: world.decide(gate, world.carol))
    page.wait_for_selector("body[data-news]")
    assert page.locator("[data-seq]").get_attribute("data-seq") == seq
    page.mouse.up()
    page.wait_for_url(f"{console.address}/runs/{run.id}/pause/")


def test_the_page_of_a_run_moves_on_and_keeps_focus_and_open_details(
    world: World, console: Console
) -> None:
    run = world.park_at_gates(9870, 4200)
    page = console.open("alice")
    page.goto(f"/runs/{run.id}/")
    wait_for_live(page)
    expect(page.get_by_text("It waits for payments")).to_be_visible()
    page.locator("#step-1 > summary").click()
    page.locator("#step-1 > summary").focus()

    world.approve_all(run)
    ended = page.get_by_role("region", name="State").get_by_text("It ended well.")
    world.settle()
    ended.wait_for(timeout=BY_HINT_MS)

    assert page.evaluate("document.activeElement.closest('details').id") == "step-1"
    assert page.locator("#step-1").get_attribute("open") is not None
    expect(page.locator("#announcements")).to_have_text("It ended well.")
    expect(page.get_by_role("button", name="Cancel the run")).to_be_hidden()


def test_a_gate_that_others_close_takes_its_buttons_away(world: World, console: Console) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob")
    page.goto(f"/gates/{gate.id}/")
    wait_for_live(page)
    page.get_by_label("Reason").fill("Half a thought")

    world.decide(gate, world.carol)
    world.settle()

    expect(page.get_by_text("Paid €98.70 to")).to_be_visible()
    expect(page.locator("#standing").get_by_text("Succeeded")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_be_hidden()


def test_the_digest_is_computed_again_by_the_browser(world: World, console: Console) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob")
    page.goto(f"/gates/{gate.id}/")

    expect(page.get_by_text("Checked by your browser")).to_be_visible()
    expect(page.get_by_text("another digest")).to_be_hidden()


def test_live_updates_come_back_after_the_broker_was_away(
    world: World, console: Console, servers: Servers
) -> None:
    page = console.open("bob")
    page.goto("/inbox/")
    wait_for_live(page)

    servers.valkey.stop()
    servers.valkey.start()
    world.park_at_gates(9870)

    page.locator("tr", has_text="€98.70").wait_for(timeout=20_000)


def socket_address(console: Console) -> str:
    return console.address.replace("http", "ws") + "/live/"


def cookies(console: Console, username: str) -> dict[str, str]:
    page = console.open(username)
    pairs = [f"{c['name']}={c['value']}" for c in page.context.cookies()]
    return {"Cookie": "; ".join(pairs)}


def test_the_socket_is_for_signed_in_people_of_this_origin(world: World, console: Console) -> None:
    signed_in = cookies(console, "bob")
    address = socket_address(console)

    with connect(address, origin=console.address, additional_headers=signed_in):
        pass
    with pytest.raises(InvalidStatus), connect(address, origin=console.address):
        pass
    with (
        pytest.raises(InvalidStatus),
        connect(address, origin="https://evil.example", additional_headers=signed_in),
    ):
        pass


def test_a_socket_carries_ids_of_its_own_tenant_and_nothing_else(
    world: World, console: Console
) -> None:
    visitors.make_person("olivia", "reviewer", tenant="elsewhere")
    address = socket_address(console)
    with (
        connect(address, origin=console.address, additional_headers=cookies(console, "bob")) as own,
        connect(
            address, origin=console.address, additional_headers=cookies(console, "olivia")
        ) as foreign,
    ):
        run = world.park_at_gates(9870)

        hint = own.recv(timeout=5)
        while '"all"' in str(hint):
            hint = own.recv(timeout=5)
        assert set(json.loads(hint)) == {"subject", "id", "seq"}
        assert str(run.id) in str(hint) or '"gate"' in str(hint)
        with pytest.raises(TimeoutError):
            while True:
                assert '"all"' in str(foreign.recv(timeout=1))
