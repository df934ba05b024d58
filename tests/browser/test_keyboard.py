"""The whole of a decision by keyboard alone: from signing in to the receipt, Tab and Enter only."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Decision
from tests.approvals.attacks import parked_at
from tests.approvals.enrolled import season
from tests.browser.authenticators import plug_in
from tests.browser.test_passkeys import enrol
from tests.browser.web import Console, let_people_sign_in, wait_for_live
from tests.harness import PASSWORD, World
from tests.zoo import ledger

SIZES = [{"width": 1440, "height": 900}, {"width": 390, "height": 844}]
MOST_STOPS = 80
# What has the focus, as somebody sees it who has no pointer (WCAG 2.2, 2.4.7 and 2.4.11).
STOP = """() => {
  const element = document.activeElement;
  const seen = [undefined, '::after'].map(part => getComputedStyle(element, part));
  const box = element.getBoundingClientRect();
  const at = [box.left + box.width / 2, box.top + Math.min(box.height, innerHeight) / 2];
  const above = document.elementFromPoint(...at);
  const label = element.labels?.[0]?.textContent ?? '';
  return {
    what: element.outerHTML.slice(0, 120),
    name: (element.getAttribute('aria-label') ?? (label || element.textContent)).trim(),
    isOutlined: seen.some(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2),
    isInView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    isUncovered: above !== null && (element.contains(above) || above.contains(element)),
    isPage: element === document.body,
  };
}"""


def focused(page: Page) -> str:
    """What has the focus, by its name; it is seen to have it, and nothing covers it."""
    found = page.evaluate(STOP)
    assert not found["isPage"], "Nothing of the page has the focus."
    assert found["isOutlined"], found
    assert found["isInView"], found
    assert found["isUncovered"], found
    return " ".join(str(found["name"]).split())


def go_to(page: Page, name: str) -> None:
    """Tab until what is called so has the focus, if it has not got it already."""
    stops: list[str] = []
    if not page.evaluate("document.activeElement === document.body"):
        stops.append(focused(page))
    while not stops or not stops[-1].startswith(name):
        assert len(stops) < MOST_STOPS, f"Tab does not come to {name!r}, only to {stops}."
        page.keyboard.press("Tab")
        stops.append(focused(page))


def enter(page: Page, name: str) -> None:
    go_to(page, name)
    page.keyboard.press("Enter")


def fill(page: Page, name: str, text: str) -> None:
    go_to(page, name)
    page.keyboard.type(text)


@pytest.mark.parametrize("viewport", SIZES, ids=["desk", "phone"])
def test_a_typed_request_is_decided_by_keyboard_alone_with_a_passkey(
    world: World, named: Console, viewport: dict[str, int]
) -> None:
    gate = parked_at(world, "typed")
    page = named.open("bob", viewport=viewport)
    plug_in(page)
    season(enrol(world, page))
    page.goto("about:blank")  # A page that is open looks for what is new, and would be refused.
    page.context.clear_cookies()
    let_people_sign_in()

    page.goto("/")
    fill(page, "Username", "bob")
    fill(page, "Password", PASSWORD)
    enter(page, "Sign in")
    page.wait_for_url(f"{named.address}/")
    enter(page, "Inbox")
    page.wait_for_url("**/inbox/")
    enter(page, "GB29")
    page.wait_for_url("**/gates/*/")
    wait_for_live(page)
    fill(page, "Reason", "It matches the invoice.")
    enter(page, "Approve")
    expect(page.get_by_text("You are about to approve")).to_be_visible()
    fill(page, "Type the amount", gate.payee[-4:])
    enter(page, "Approve with a passkey")
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    world.settle()
    expect(page.locator("#standing").get_by_text("Paid €30,050.00 to")).to_be_visible()
    enter(page, "All requests")
    page.wait_for_url("**/inbox/")

    decision = Decision.objects.get()
    assert (decision.method, decision.typed) == ("passkey", gate.payee[-4:])
    assert decision.reason == "It matches the invoice."
    assert len(ledger("paid")) == 1


def test_enter_in_a_field_never_approves(world: World, named: Console) -> None:
    gate = parked_at(world, "typed")
    page = named.open("bob")
    plug_in(page)
    season(enrol(world, page))
    page.goto(f"/gates/{gate.id}/")
    page.get_by_role("button", name="Approve").click()
    page.get_by_label("Type the amount").fill(gate.payee[-4:])

    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Your decision")).to_be_visible()
    assert not Decision.objects.exists()


def test_an_approval_is_taken_back_and_a_request_denied_by_keyboard_alone(
    world: World, named: Console
) -> None:
    page = named.open("bob", viewport=SIZES[1])
    plug_in(page)
    season(enrol(world, page))
    gate = parked_at(world, "critical")
    page.goto(f"/gates/{gate.id}/")
    enter(page, "Approve")
    expect(page.get_by_text("You are about to approve")).to_be_visible()
    fill(page, "Type the amount", gate.payee[-4:])
    enter(page, "Approve with a passkey")
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    fill(page, "Why you take it back", "It is the wrong one.")
    enter(page, "Take it back")
    expect(page.get_by_text("You took your approval back.").first).to_be_visible()

    other = parked_at(world, "critical")
    page.goto(f"/gates/{other.id}/")
    enter(page, "Deny")
    expect(page.get_by_text("Say why you deny it")).to_be_visible()
    named.faults.clear()  # Chromium reports the 422 of the refused form.
    assert page.evaluate("document.activeElement.name") == "reason"
    page.keyboard.type("Not our supplier.")
    enter(page, "Deny")
    expect(page.get_by_text("You denied this request.")).to_be_visible()
    assert ledger("pay-called") == []
