"""What became of a payment: receipt, Home and run speak of the payment, not of the vote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from approvals.models import Gate
from runs import canonical
from runs.models import Step
from tests.harness import World
from tests.pages import visitors
from tests.pages.visitors import Page, Visitor

REFUSAL = "the account is closed"


def refused(world: World, gate: Gate) -> None:
    """Approved by Bob, and refused by the provider."""
    (Path(os.environ["PLACET_TEST_WORLD"]) / "pay-refuses").write_text("1")
    world.decide(gate, world.bob)
    world.settle()


def words_of(page: Page) -> str:
    (words,) = [p for p in page.all("p") if p.attributes.get("class") == "receipt-words"]
    return " ".join(words.text.split())


def receipts(page: Page) -> list[str]:
    classes = [e.attributes.get("class", "").split() for e in page.all("div")]
    return [name for names in classes for name in names if name.startswith("receipt-")]


def test_a_payment_that_was_approved_and_not_made_is_red_and_says_why(
    world: World, bob: Visitor, gate: Gate
) -> None:
    refused(world, gate)

    page = Page(bob.get(f"/gates/{gate.id}/"))
    error = Step.objects.get(pk=gate.step_id).error
    assert error is not None
    assert receipts(page) == ["receipt-bad"]
    assert words_of(page) == (
        f"The payment of €98.70 was approved, but not made. {error['message'].capitalize()}."
    )
    assert "Approved but not paid" in page.text
    assert "It ended, but not every step went well: 1 failed." in (
        Page(bob.get(f"/runs/{gate.run_id}/")).text
    )
    home = Page(bob.get("/"))
    assert "Approved but not paid" in home.text
    assert f"€98.70 to {gate.payee}. The account is closed." in home.text
    assert f"/gates/{gate.id}/" in [a.attributes["href"] for a in home.all("a")]
    assert "Approved but not paid" in Page(bob.get("/inbox/", view="decided")).text
    assert "Approved but not paid" in Page(bob.get("/inbox/", view="closed")).text


def test_a_paid_one_is_green_and_says_when_to_whom_and_the_reference(
    world: World, bob: Visitor, gate: Gate
) -> None:
    world.decide(gate, world.bob)
    world.settle()

    page = Page(bob.get(f"/gates/{gate.id}/"))
    assert receipts(page) == ["receipt-good"]
    assert words_of(page).startswith(f"Paid €98.70 to {gate.payee}, at ")
    assert "Everything that was sent" in page.texts("h2")
    assert "Approved but not paid" not in Page(bob.get("/")).text


def test_a_denied_one_speaks_of_what_was_asked(world: World, bob: Visitor, gate: Gate) -> None:
    assert "Everything that will be sent" in Page(bob.get(f"/gates/{gate.id}/")).texts("h2")
    world.decide(gate, world.carol, "deny", "Not ours.")
    world.settle()

    page = Page(bob.get(f"/gates/{gate.id}/"))
    assert receipts(page) == ["receipt-bad"]
    assert words_of(page) == "The payment of €98.70 was refused. Nothing was paid."
    assert "What was asked" in page.texts("h2")
    (said,) = [p for p in page.all("p") if "data-announcement" in p.attributes]
    assert said.text == "carol denied this just now; nothing is left to decide."


def test_after_a_decision_the_next_request_is_one_click_away(world: World, bob: Visitor) -> None:
    first, second = world.gates(world.park_at_gates(9870, 4200))
    world.decide(first, world.bob)

    (link,) = [a for a in Page(bob.get(f"/gates/{first.id}/")).all("a") if "Next" in a.text]
    assert (link.attributes["href"], link.text) == (f"/gates/{second.id}/", "Next request (1 left)")

    world.decide(second, world.bob)
    text = Page(bob.get(f"/gates/{second.id}/")).text
    assert "Next request" not in text and "All requests" in text


def test_the_count_on_home_is_renewed_with_the_list(bob: Visitor, gate: Gate) -> None:
    part = bob.get("/", part=True).content.decode()
    assert '<p class="lede" id="summary" hx-swap-oob="true">1 request waits for you.' in part
    assert "hx-swap-oob" not in bob.get("/").content.decode()


def test_after_a_wrong_password_the_password_has_the_focus(world: World) -> None:
    form = {"login": "bob", "password": "wrong"}
    page = Page(visitors.nobody().post("/accounts/login/", **form))
    assert [e.attributes["name"] for e in page.elements if "autofocus" in e.attributes] == [
        "password"
    ]


def test_the_reference_is_the_providers(world: World, gate: Gate) -> None:
    from console.pages.endings import reference_of

    def of(result: Any) -> str:
        return reference_of(Step(result=canonical.encode(result)))

    assert of({"bank_reference": "A-17", "executed_at": "now"}) == "A-17"
    assert [of(other) for other in ({"paid": True}, ["A-17"], None, {"reference": 7})] == [""] * 4
    assert reference_of(Step()) == ""
