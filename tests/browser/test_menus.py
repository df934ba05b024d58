"""Every place is reached from the foot of a phone, and menus close as people expect them to."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.web import Console
from tests.harness import World

PHONE = {"width": 390, "height": 844}
NARROW = {"width": 320, "height": 640}
DESK = {"width": 1440, "height": 900}
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


def test_a_phone_has_four_places_at_its_foot_and_the_rest_one_press_away(
    world: World, console: Console
) -> None:
    page = console.open("erin", viewport=NARROW)
    assert in_sight(page, "nav.nav .nav-item > a") == NEAR

    page.get_by_text("More", exact=True).click()
    assert in_sight(page, ".nav-menu a") == FAR
    page.get_by_role("link", name="Audit").click()
    page.wait_for_url("**/audit/")

    page.get_by_text("More", exact=True).click()
    expect(page.locator(".nav-menu a[aria-current=page]")).to_have_text("Audit")


def test_a_desk_has_them_all_side_by_side(world: World, console: Console) -> None:
    page = console.open("erin", viewport=DESK)
    assert sorted(in_sight(page, "nav.nav .nav-item > a")) == sorted(NEAR + FAR)
    expect(page.get_by_text("More", exact=True)).to_be_hidden()


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
