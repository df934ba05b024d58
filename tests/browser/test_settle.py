"""Settling a doubt about money in a browser: two people, one of them without scripts."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from runs.models import Settlement, Step
from tests.browser.web import Console, wait_for_live
from tests.doubts import doubtful_payment, make_operators
from tests.harness import World
from tests.zoo import ledger

RESULT = '{"paid": 9870, "reference": "A-17"}'


def test_two_operators_settle_a_payment_in_doubt(world: World, console: Console) -> None:
    make_operators(world)
    step = doubtful_payment(world)
    carol = console.open("carol")
    say_that_it_happened(carol)
    expect(carol.get_by_text("You have answered: it happened.")).to_be_visible()
    expect(carol.get_by_text("1 of 2 equal answers so far.").first).to_be_visible()
    wait_for_live(carol)
    world.settle()
    assert Step.objects.get(pk=step.pk).status == "in_doubt"

    say_that_it_happened(console.open("bob", java_script_enabled=False))
    world.settle()

    expect(carol.get_by_role("heading", name="pay is not in doubt.")).to_be_visible()
    assert Settlement.objects.count() == 2
    assert world.run_now(step.run).status == "succeeded"
    assert ledger("paid") == []


def say_that_it_happened(page: Page) -> None:
    """From Home to the answer, with a review in between."""
    said = Settlement.objects.count()
    page.get_by_role("link", name="pay is in doubt").click()
    page.get_by_label("Reason").fill("The bank shows it in its ledger.")
    page.get_by_label("Result").fill(RESULT)
    page.get_by_role("button", name="It happened").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("It happened")
    assert Settlement.objects.count() == said
    page.get_by_role("button", name="Say so").click()
    expect(page.get_by_text("Your answer is recorded: it happened.")).to_be_visible()
