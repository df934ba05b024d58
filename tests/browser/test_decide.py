"""The main job in a browser: with scripts, without, with the keyboard alone."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, Route, expect

from approvals.models import Decision
from runs.models import Run
from tests.approvals.attacks import parked_at
from tests.browser.web import Console, wait_for_live
from tests.harness import World
from tests.zoo import ledger


def test_bob_decides_within_a_minute_of_signing_in(world: World, console: Console) -> None:
    world.park_at_gates(9870)
    begin = time.monotonic()
    page = console.open("bob")

    page.get_by_role("link", name="Inbox").click()
    page.get_by_role("link", name="GB29").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Pay €98.70 to")
    page.get_by_label("Reason").fill("Matches the invoice.")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You are about to approve")).to_be_visible()
    assert not Decision.objects.exists()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    world.settle()
    expect(page.get_by_text("Paid €98.70 to")).to_be_visible()

    assert time.monotonic() - begin < 60
    assert [entry["amount_minor"] for entry in ledger("paid")] == [9870]


def test_a_page_whose_facts_are_not_those_of_its_digest_approves_nothing(
    world: World, console: Console
) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob")
    stop = page.get_by_text("The facts on this page are not those of its digest")
    approve = page.get_by_role("button", name="Approve")
    page.goto(f"/gates/{gate.id}/")
    expect(page.get_by_text("Checked by your browser")).to_be_visible()
    expect(stop).to_be_hidden()
    expect(approve).to_be_enabled()

    def serve(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace("9870", "100"))

    page.route(f"**/gates/{gate.id}/", serve)
    # Chromium lets a page that a test serves open no socket, and says so at each try.
    page.route_web_socket("**/live/", lambda socket: None)
    page.goto(f"/gates/{gate.id}/")
    expect(stop).to_be_visible()
    expect(approve).to_be_disabled()
    expect(page.get_by_role("button", name="Deny")).to_be_enabled()


def test_a_denial_asks_for_the_reason_and_then_is_done(world: World, console: Console) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob")
    page.goto(f"/gates/{gate.id}/")

    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("Say why you deny it")).to_be_visible()
    console.faults.clear()  # Chromium reports the 422 of the refused form.
    page.get_by_label("Reason").fill("Not our supplier.")
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("You denied this request.")).to_be_visible()
    world.settle()

    expect(page.get_by_text("was refused. Nothing was paid.")).to_be_visible()
    assert Decision.objects.get().reason == "Not our supplier."


def test_everything_works_without_scripts(world: World, console: Console) -> None:
    page = console.open("alice", java_script_enabled=False)
    page.get_by_role("link", name="Start a run").click()
    page.get_by_role("link", name="paying", exact=True).click()
    page.get_by_label("amounts").fill("[4200]")
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("heading", name="paying")).to_be_visible()
    world.settle()

    page = console.open("bob", java_script_enabled=False)
    page.get_by_role("link", name="Inbox").click()
    expect(page.get_by_text("UTC").first).to_be_visible()
    page.get_by_role("link", name="GB29").click()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You are about to approve")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    world.settle()
    page.reload()
    expect(page.get_by_text("Paid €42.00 to")).to_be_visible()

    page.locator("#account summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_css("color-scheme", "dark")
    page.locator("#account summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Username")).to_be_visible()
    assert Run.objects.get().status == "succeeded"


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim()"))


def test_the_keyboard_alone_is_enough(world: World, console: Console) -> None:
    world.park_at_gates(9870, 4200)
    page = console.open("bob")
    wait_for_live(page)

    press(page, "g", "i")
    page.wait_for_url("**/inbox/")
    press(page, "j", "j", "k")
    assert focused(page) == "GB29NWBK60161331926810"
    press(page, "Enter")
    page.wait_for_url("**/gates/*/")
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    for _ in range(60):
        press(page, "Tab")
        if page.evaluate("document.activeElement.name") == "reason":
            break
    page.keyboard.type("Seen: g r j k ? /")
    press(page, "Tab", "Tab", "Tab")
    assert focused(page) == "Approve"
    press(page, "Enter")
    expect(page.get_by_text("You are about to approve")).to_be_visible()
    page.get_by_role("button", name="Approve").focus()
    press(page, "Enter")
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    assert Decision.objects.get().reason == "Seen: g r j k ? /"


def test_the_keys_are_shown_and_the_search_is_reached(world: World, console: Console) -> None:
    page = console.open("bob")
    page.goto("/inbox/")
    wait_for_live(page)

    press(page, "?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    press(page, "Escape")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    press(page, "/")

    assert page.evaluate("document.activeElement.id") == "id_q"


def test_x_marks_a_row_for_oneself_and_it_stays_marked(world: World, console: Console) -> None:
    # Above the lowest tier nothing is decided together with others, so x selects nothing.
    first, second = (parked_at(world, "passkey") for _ in range(2))
    page = console.open("bob")
    page.goto("/inbox/")
    wait_for_live(page)
    row = page.locator(f"#gate-{second.id}")
    expect(page.get_by_text("No key decides anything.")).to_be_visible()

    press(page, "x")
    expect(page.locator("[data-marked]")).to_have_count(0)
    press(page, "j", "j", "x")
    expect(row).to_have_attribute("data-marked", "")
    expect(
        page.get_by_role("status").filter(has_text="Marked. Nothing was decided.")
    ).to_have_count(1)
    world.decide(first, world.carol, "deny", "A copy.")
    world.settle()
    expect(page.locator("tr.is-closed")).to_have_count(1)
    expect(row).to_have_attribute("data-marked", "")
    press(page, "Enter")
    page.wait_for_url(f"**/gates/{second.id}/")
    page.go_back()
    expect(row).to_have_attribute("data-marked", "")
    row.get_by_role("link").focus()
    press(page, "x")
    expect(page.locator("[data-marked]")).to_have_count(0)

    assert Decision.objects.get().person == world.carol


def test_the_views_are_links_without_scripts(world: World, console: Console) -> None:
    world.park_at_gates(9870)
    page = console.open("bob", java_script_enabled=False)
    page.goto("/inbox/")

    page.get_by_role("link", name="Expiring 1").click()
    expect(page.get_by_role("link", name="Expiring 1")).to_have_attribute("aria-current", "page")
    page.get_by_label("Search requests").fill("GB29")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("link", name="Expiring 1")).to_have_attribute("aria-current", "page")
    expect(page.locator("tr", has_text="€98.70")).to_be_visible()
    expect(page.get_by_text("No key decides anything.")).to_be_hidden()


@pytest.mark.parametrize("where", ["gate", "inbox"])
def test_no_single_key_decides(world: World, console: Console, where: str) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob")
    page.goto(f"/gates/{gate.id}/" if where == "gate" else "/inbox/")
    wait_for_live(page)

    for key in [*"abcdefhilmnopqstuvwxyz0123456789", "Enter", "Space"]:
        press(page, key)

    assert not Decision.objects.exists()
    assert "confirm" not in page.title().lower()


def test_what_is_typed_stays_when_a_colleague_decides(world: World, console: Console) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("carol")
    page.goto(f"/gates/{gate.id}/")
    wait_for_live(page)
    page.get_by_label("Reason").fill("Half a sent")
    world.decide(gate, world.bob)
    world.settle()

    said = "bob approved this just now; nothing is left to decide."
    expect(page.get_by_role("heading", name=said)).to_be_visible()
    expect(page.get_by_role("status").filter(has_text=said)).to_have_count(1)
    typed = page.get_by_label("What you had typed")
    expect(typed).to_have_value("Half a sent")
    expect(typed).not_to_be_editable()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)


def test_a_lost_session_is_said_and_takes_nothing_away(world: World, console: Console) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob")
    page.goto(f"/gates/{gate.id}/")
    wait_for_live(page)
    page.get_by_label("Reason").fill("Half a sentence")
    kept = page.context.cookies()
    page.context.clear_cookies()
    page.evaluate("window.htmx.trigger('#standing', 'pull')")

    banner = page.get_by_role("alert").filter(has_text="Your session has ended.")
    expect(banner.get_by_role("link", name="Sign in again")).to_have_attribute("target", "_blank")
    expect(page.get_by_label("Reason")).to_have_value("Half a sentence")
    console.faults.clear()  # Chromium reports the 401 of the part.

    page.context.add_cookies(kept)  # type: ignore[arg-type]
    page.evaluate("window.htmx.trigger('#standing', 'pull')")
    expect(banner).to_be_hidden()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("You denied this request.")).to_be_visible()
