"""The highest tier in a browser: two people's passkeys, the cooling-off, and the way back."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Decision, Gate, Revocation
from tests.approvals.attacks import parked_at
from tests.approvals.enrolled import season
from tests.browser.authenticators import plug_in
from tests.browser.test_passkeys import enrol, sign, to_confirm
from tests.browser.web import Console, wait_for_live
from tests.harness import World
from tests.zoo import ledger

SECONDS_LEFT = re.compile(r"(\d+) s left")
PHONE = {"width": 390, "height": 844}


def approve(world: World, console: Console, username: str, gate: Gate, **context: object) -> Page:
    """Somebody enrols a passkey, reads the request, types its fact, and signs."""
    page = console.open(username, **context)
    plug_in(page)
    season(enrol(world, page, f"{username}'s"))
    to_confirm(page, gate)
    page.get_by_label("Type the amount").fill(gate.payee[-4:])
    sign(page)
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    return page


def cooled_off(world: World, gate: Gate) -> None:
    """The gatekeeper looks until the cooling-off is over by the database's clock."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        world.keep_gates()
        gate.refresh_from_db()
        if gate.status == Gate.Status.APPROVED:
            return
        time.sleep(0.1)
    raise AssertionError("It is still cooling off.")


def seconds_left(page: Page) -> int:
    found = SECONDS_LEFT.search(page.locator("#standing .countdown").inner_text())
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("viewport", [{"width": 1440, "height": 900}, PHONE])
def test_a_second_person_is_needed_and_either_takes_it_back_while_it_cools_off(
    world: World, named: Console, viewport: dict[str, int]
) -> None:
    gate = parked_at(world, "critical", cooling_off_seconds=50)
    bob = approve(world, named, "bob", gate, viewport=viewport)
    expect(bob.get_by_text("1 of 2 approvals")).to_be_visible()
    wanted = bob.locator("#people").get_by_text("1 more approval is needed, from the group")
    expect(wanted).to_be_visible()
    wait_for_live(bob)
    carol = approve(world, named, "carol", gate, viewport=viewport)
    world.keep_gates()

    for page in (bob, carol):
        standing = page.locator("#standing")
        expect(standing.get_by_text("Enough have approved; it is cooling off")).to_be_visible()
        expect(standing.get_by_text("2 of 2 approvals")).to_be_visible()
    before = seconds_left(bob)
    assert 0 < before <= 50
    bob.wait_for_function(
        "was => parseInt(document.querySelector('#standing .countdown').innerText) < was",
        arg=before,
    )
    assert ledger("pay-called") == []

    bob.locator("#standing").get_by_role("link", name="Take your approval back").click()
    bob.get_by_label("Why you take it back").fill("The account is another one.")
    button = bob.get_by_role("button", name="Take it back")
    expect(button).to_be_in_viewport()
    button.click()

    expect(bob.get_by_text("You took your approval back.").first).to_be_visible()
    expect(carol.locator("#people").get_by_text("Taken back", exact=True)).to_be_visible()
    world.settle()
    expect(carol.get_by_text("1 of 2 approvals")).to_be_visible()
    expect(carol.get_by_text("it is cooling off")).to_have_count(0)
    expect(bob.get_by_label("Why you take it back")).to_have_count(0)
    bob.goto("/inbox/?view=waiting")
    expect(bob.locator("tr", has_text="1 of 2")).to_contain_text("you took it back")
    bob.goto("/inbox/?view=decided")
    expect(bob.locator(f"#gate-{gate.id}").get_by_text("Taken back")).to_be_visible()
    assert Revocation.objects.get().decision.person == world.bob
    assert ledger("pay-called") == []


def test_after_the_claim_it_is_too_late_and_the_page_says_so(world: World, named: Console) -> None:
    gate = parked_at(world, "critical", cooling_off_seconds=1)
    live = approve(world, named, "bob", gate)
    approve(world, named, "carol", gate)
    # An old page, such as one without scripts, still has its form when the step is claimed.
    old = named.open("bob", java_script_enabled=False)
    old.goto(f"/gates/{gate.id}/")
    old.get_by_label("Why you take it back").fill("Half a second too late.")
    expect(live.locator("#take-back")).to_have_count(1)
    wait_for_live(live)

    cooled_off(world, gate)
    expect(live.locator("#take-back")).to_have_count(1)
    world.settle()

    expect(live.locator("#standing").get_by_text("Paid €40,050.00 to")).to_be_visible()
    expect(live.locator("#take-back")).to_have_count(0)
    old.get_by_role("button", name="Take it back").click()
    told = "Too late: the step has been claimed, so your approval is spent. Nothing was changed."
    expect(old.get_by_text(told)).to_be_visible()
    assert not Revocation.objects.exists()
    assert [entry["amount_minor"] for entry in ledger("paid")] == [gate.amount_minor]


def test_before_the_claim_a_cleared_approval_is_taken_back_and_nothing_is_paid(
    world: World, named: Console
) -> None:
    gate = parked_at(world, "critical", cooling_off_seconds=1)
    bob = approve(world, named, "bob", gate)
    approve(world, named, "carol", gate)
    cooled_off(world, gate)

    bob.reload()
    expect(bob.locator("#standing").get_by_text("Approved, on its way")).to_be_visible()
    bob.get_by_label("Why you take it back").fill("The account is another one.")
    bob.get_by_role("button", name="Take it back").click()
    expect(bob.get_by_text("You took your approval back.").first).to_be_visible()
    world.settle()

    receipt = bob.locator("#standing .receipt")
    expect(receipt.get_by_text("Approval taken back")).to_be_visible()
    said = "bob took the approval back: The account is another one. Nothing was paid."
    expect(receipt.get_by_text(said)).to_be_visible()
    assert ledger("pay-called") == []


def test_one_person_does_not_count_twice(world: World, named: Console) -> None:
    gate = parked_at(world, "critical")
    bob = approve(world, named, "bob", gate)
    world.settle()

    bob.reload()
    expect(bob.get_by_text("You approved it.", exact=True)).to_be_visible()
    expect(bob.get_by_role("button", name="Approve")).to_have_count(0)
    expect(bob.get_by_role("heading", name="Your decision")).to_have_count(0)
    assert Decision.objects.count() == 1
    gate.refresh_from_db()
    assert gate.clears_at is None and ledger("pay-called") == []
