"""The glass, broken by two people with passkeys in two browsers; and what they do not sign."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from approvals.models import BreakGlass, BreakGlassConfirmation, BreakGlassProof
from tests.approvals.enrolled import season
from tests.approvals.glasses import verified
from tests.browser.authenticators import plug_in
from tests.browser.test_passkeys import enrol, refused
from tests.browser.web import Console
from tests.harness import World

PHONE = {"width": 390, "height": 844}
REASON = "Bob and Carol are on a plane.\nThe tax office is not."


def with_passkey(world: World, page: Page, name: str) -> Page:
    """A key that is no longer fresh."""
    plug_in(page)
    season(enrol(world, page, name))
    return page


def ask(page: Page) -> None:
    page.goto("/breakglass/open/")
    page.get_by_label("Where").select_option("tool")
    page.get_by_label("Which one").fill(" pay ")
    page.get_by_label("Minutes").fill("20")
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Ask to break it with a passkey").click()


def test_two_people_break_the_glass_with_their_passkeys(world: World, named: Console) -> None:
    mallory = with_passkey(world, named.open("mallory"), "Mallory's")
    ask(mallory)
    expect(mallory.get_by_text("It waits for a second person to confirm it.")).to_be_visible()
    glass = BreakGlass.objects.get()
    assert (glass.subject, glass.reason, glass.minutes) == ("pay", REASON, 20)

    page = with_passkey(world, named.open("erin", viewport=PHONE), "Erin's")
    address = f"/breakglass/{glass.pk}/confirm/"
    sign = "Confirm it with a passkey"
    for alter in (
        "[...document.querySelectorAll('dd')].find(e => e.textContent.includes('plane'))"
        ".textContent = 'A drill.'",
        "(e => e.textContent = e.textContent.replace('\"minutes\":20', '\"minutes\":59'))"
        "(document.querySelector('[data-statement]'))",
    ):
        page.goto(address)
        page.evaluate(alter)
        page.get_by_role("button", name=sign).click()
        refused(page, "What this page says is not what would be signed")
    assert not BreakGlassConfirmation.objects.exists()

    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    button = page.get_by_role("button", name=sign)
    assert button.evaluate("e => e.scrollWidth <= e.clientWidth")
    page.get_by_role("button", name=sign).click()
    expect(page.get_by_text("Both of you may decide once the gatekeeper has")).to_be_visible()
    expect(page.get_by_text("Waits for the gatekeeper")).to_be_visible()
    assert verified() == 1
    expect(page.get_by_text("Waits for the gatekeeper")).to_have_count(0)
    expect(page.get_by_text("mallory and erin may decide at gates of the tool pay")).to_be_visible()
    assert BreakGlassProof.objects.get().because == ""
    mallory.goto("/")
    banner = mallory.get_by_text("mallory and erin may decide at gates of the tool pay")
    expect(banner.first).to_be_visible()


def test_a_page_that_was_open_for_too_long_asks_no_passkey(world: World, named: Console) -> None:
    page = with_passkey(world, named.open("mallory"), "Mallory's")
    page.add_init_script("const now = Date.now; Date.now = () => now() + 16 * 60 * 1000")
    ask(page)
    refused(page, "This page was open for too long; load it again. Nothing was recorded.")
    assert not BreakGlass.objects.exists()


def test_without_scripts_the_page_says_what_else_there_is(world: World, named: Console) -> None:
    page = named.open("mallory", java_script_enabled=False)
    page.goto("/breakglass/open/")
    command = "manage.py breakglass open --user mallory --key FILE"
    expect(page.locator("noscript code")).to_have_text(command)
    assert page.get_by_role("button", name="Ask to break it").count() == 0
