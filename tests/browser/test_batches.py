"""Several requests selected and decided at once: by the keyboard alone, on a phone, and plainly."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Batch, Decision
from tests.approvals.attacks import parked_at
from tests.browser.test_decide import focused, press
from tests.browser.web import Console, wait_for_live
from tests.harness import World
from tests.zoo import ledger

BAR = "[data-select-bar]"


def tab_to(page: Page, words: str) -> None:
    """Goes on by the Tab key until what has these words has the focus."""
    for _ in range(80):
        if focused(page) == words:
            return
        press(page, "Tab")
    raise AssertionError(f"{words!r} is not reached by the Tab key.")


def test_the_keyboard_alone_selects_reviews_and_decides(world: World, console: Console) -> None:
    first, second, third = world.gates(world.park_at_gates(9870, 4200, 700))
    high = parked_at(world, "passkey")
    page = console.open("bob")
    page.goto("/inbox/")
    wait_for_live(page)
    bar = page.locator(BAR)
    expect(bar).to_contain_text("Tick requests to decide up to 10 of them at once.")

    press(page, "j", "x", "j", "j", "x")
    expect(bar).to_contain_text("2 selected.")
    expect(
        page.get_by_role("status").filter(has_text="Selected. Nothing was decided.")
    ).to_have_count(1)
    press(page, "x")
    expect(bar).to_contain_text("1 selected.")
    press(page, "x", "j", "x")
    expect(page.locator(f"#gate-{high.id}")).to_have_attribute("data-marked", "")
    expect(bar).to_contain_text("2 selected.")
    world.decide(second, world.carol)
    world.settle()
    expect(page.locator("tr.is-closed")).to_have_count(1)
    expect(bar).to_contain_text("2 selected.")
    assert not Batch.objects.exists()

    tab_to(page, "Review selected")
    press(page, "Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Decide 2 requests at once")
    for amount in ("€98.70", "€7.00"):
        expect(page.get_by_role("heading", name=f"Pay {amount}")).to_be_visible()
    expect(page.get_by_text("Together they come to €105.70.")).to_be_visible()
    page.get_by_label("Reason").focus()
    page.keyboard.type("They fit: x j k Enter")
    assert not Decision.objects.filter(person=world.bob).exists()
    tab_to(page, "Approve 2")
    press(page, "Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text(
        "You approved 2 of 2 requests at once"
    )
    world.settle()
    for gate in (first, third):
        expect(page.locator(f"#gate-{gate.id}")).to_contain_text("Paid")
    assert sorted(entry["amount_minor"] for entry in ledger("paid")) == [700, 4200, 9870]
    assert Batch.objects.get().reason == "They fit: x j k Enter"


def test_ticks_stay_while_the_list_is_renewed_and_too_many_are_said(
    world: World, console: Console
) -> None:
    gates = world.gates(world.park_at_gates(*range(100, 112)))
    page = console.open("bob")
    page.goto("/inbox/")
    wait_for_live(page)
    ticks = page.locator("[data-select]")
    for at in range(11):
        ticks.nth(at).check()
    bar = page.locator(BAR)
    expect(bar).to_contain_text("11 selected, and at most 10 go at once.")
    world.decide(gates[0], world.carol, "deny", "A copy.")
    world.settle()
    expect(page.locator("tr.is-closed")).to_have_count(1)
    expect(bar).to_contain_text("10 selected.")
    expect(page.locator("[data-select]:checked")).to_have_count(10)
    # A focused tick is no field that people type in: the keys go on.
    ticks.nth(10).focus()
    press(page, "x")
    expect(bar).to_contain_text("11 selected")
    press(page, "k")
    assert page.evaluate("document.activeElement.dataset.row") == ""


@pytest.mark.parametrize("scripts", [True, False])
def test_a_batch_is_denied_on_a_phone_with_scripts_and_without(
    world: World, console: Console, scripts: bool
) -> None:
    first, _ = world.gates(world.park_at_gates(9870, 4200))
    size = {"width": 390, "height": 844}
    page = console.open("bob", viewport=size, java_script_enabled=scripts)
    page.goto("/inbox/")
    # In one look: the list may be renewed between two.
    sizes = page.evaluate(
        "[...document.querySelectorAll('[data-select]')].map("
        "(tick) => Math.min(tick.offsetWidth, tick.offsetHeight))"
    )
    assert len(sizes) == 2 and min(sizes) >= 24
    for amount in ("€98.70", "€42.00"):
        page.get_by_label(f"Select {amount} to").check()
    review = page.get_by_role("button", name="Review selected")
    review.scroll_into_view_if_needed()
    review.click()
    expect(page.get_by_role("button", name="Deny 2")).to_be_visible()
    world.decide(first, world.carol)
    world.settle()
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    page.get_by_role("button", name="Deny 2").click()
    expect(page.get_by_text("Say why you deny them")).to_be_visible()
    console.faults.clear()  # Chromium reports the 422 of the refused form.
    expect(page.get_by_text("This gate is approved; nothing is left")).to_be_visible()
    page.get_by_label("Reason").fill("Copies.")
    page.get_by_role("button", name="Deny 1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You denied 1 of 1 request at once")
    assert not page.evaluate(wide)
    assert Decision.objects.get(person=world.bob).verdict == "deny"
