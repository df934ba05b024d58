"""Every place is reached from the foot of a phone, and menus close as people expect them to."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.web import Console
from tests.harness import World

PHONE = {"width": 390, "height": 844}
MAGNIFIED = {"width": 195, "height": 422}
WIDE = [{"width": 768, "height": 1024}, {"width": 1440, "height": 900}]
NEAR = ["Home", "Inbox", "Safety", "Secrets"]
FAR = ["Notices", "Questions", "Runs", "Schedules", "Policies", "Audit"]


def in_sight(page: Page, of: str) -> list[str]:
    """The words of the links of a list that are on the screen, whole."""
    found = page.locator(of).filter(visible=True).all()
    size = page.viewport_size
    assert size is not None
    for link in found:
        box = link.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
    return [link.inner_text().split("\n")[0].strip() for link in found]


@pytest.mark.parametrize("viewport", [PHONE, MAGNIFIED], ids=["phone", "at 200 percent"])
def test_a_phone_has_four_places_at_its_foot_and_the_rest_one_press_away(
    world: World, console: Console, viewport: dict[str, int]
) -> None:
    page = console.open("erin", viewport=viewport)
    assert in_sight(page, "nav.nav .nav-item > a") == NEAR

    more = page.locator(".nav-more summary")
    more.click()
    assert in_sight(page, ".nav-menu a") == FAR
    page.get_by_role("link", name="Audit").click()
    page.wait_for_url("**/audit/")

    expect(more).to_have_text("More, now at Audit")
    more.click()
    expect(page.locator(".nav-menu a[aria-current=page]")).to_have_text("Audit")


def test_the_rest_is_reached_without_scripts(world: World, console: Console) -> None:
    page = console.open("erin", viewport=PHONE, java_script_enabled=False)
    page.locator(".nav-more summary").click()
    page.get_by_role("link", name="Audit").click()
    page.wait_for_url("**/audit/")


@pytest.mark.parametrize("viewport", WIDE, ids=["tablet", "desk"])
def test_where_there_is_room_they_are_all_side_by_side(
    world: World, console: Console, viewport: dict[str, int]
) -> None:
    page = console.open("erin", viewport=viewport)
    assert sorted(in_sight(page, "nav.nav .nav-item > a")) == sorted(NEAR + FAR)
    expect(page.locator(".nav-more")).to_be_hidden()


def test_a_dialog_that_a_menu_opened_gives_the_focus_back_to_it(
    world: World, console: Console
) -> None:
    page = console.open("erin", viewport=PHONE)
    shortcuts = page.get_by_role("button", name="Keyboard shortcuts")
    page.locator("#account summary").click()
    shortcuts.click()
    expect(page.get_by_role("dialog")).to_contain_text("Go to Audit")

    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(shortcuts).to_be_focused()
    page.keyboard.press("Escape")
    expect(shortcuts).to_be_hidden()
    expect(page.locator("#account summary")).to_be_focused()


def test_a_menu_closes_by_escape_by_a_press_beside_it_and_when_the_focus_leaves(
    world: World, console: Console
) -> None:
    page = console.open("erin", viewport=PHONE)
    more, audit = page.locator(".nav-more summary"), page.get_by_role("link", name="Audit")

    more.focus()
    page.keyboard.press("Enter")
    expect(audit).to_be_visible()
    page.keyboard.press("Escape")
    expect(audit).to_be_hidden()
    expect(more).to_be_focused()

    more.click()
    page.get_by_role("heading", level=1).click()
    expect(audit).to_be_hidden()

    more.click()
    page.locator("#account summary").focus()
    expect(audit).to_be_hidden()
