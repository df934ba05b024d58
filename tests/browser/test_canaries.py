"""A canary in the browser: decided like any other request, and told at once."""

from __future__ import annotations

from playwright.sync_api import expect

from approvals.models import Gate
from tests.approvals import planted
from tests.browser.web import Console, wait_for_live
from tests.harness import World


def test_who_approves_a_canary_reads_at_once_that_it_was_one_and_sees_it_close(
    world: World, console: Console
) -> None:
    gate = planted.planted_with(world, "amount")
    page = console.open("bob")
    page.goto(f"/gates/{gate.id}/")
    wait_for_live(page)
    expect(page.get_by_text("Checked by your browser")).to_be_visible()
    assert "canar" not in page.content().lower()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You are about to approve")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("This was a canary, a test, and you missed it.")).to_be_visible()
    expect(page.get_by_text("ten times the 98.70 EUR that were paid before")).to_be_visible()
    wait_for_live(page)
    world.settle()
    expect(page.get_by_text("Canary, a test", exact=True)).to_be_visible()
    assert Gate.objects.get(pk=gate.id).status == "withdrawn"
