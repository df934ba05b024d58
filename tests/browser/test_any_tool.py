"""A gate that moves no money, decided whole in a browser: nothing on it speaks of a payment."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Decision, Gate
from tests.browser.authenticators import plug_in
from tests.browser.test_passkeys import enrol, sign
from tests.browser.web import Console, wait_for_live
from tests.harness import World
from tests.zoo import ledger

PAYMENT = re.compile(r"\bpa(y|id|yee|yment|yments)\b|amount|account|€", re.IGNORECASE)
ASKED = "Call register once, with exactly the arguments below."


@pytest.fixture
def gate(world: World) -> Gate:
    return registering(world, "confirm")


def registering(world: World, tier: str) -> Gate:
    """A gate of the tool `register`, which the policy names; its reviewers are `people`."""
    consent = {"tier": tier, "thresholds": [{"group": "people", "count": 1}]}
    world.join("people", world.bob)
    world.publish(
        {"name": "Registering", "when": {"tools": ["register"]}, "then": {"consent": consent}}
    )
    run = world.start("registering", names=["ada"])
    world.settle()
    return world.gates(run)[0]


def spoken_of_payments(page: Page) -> list[str]:
    """The lines of the page's content that speak of payments, but for the exact bytes."""
    text = page.evaluate(
        """() => {
          const copy = document.querySelector('main').cloneNode(true);
          copy.querySelectorAll('pre, form.filters').forEach(part => part.remove());
          document.body.append(copy);
          const text = copy.innerText;
          copy.remove();
          return text;
        }"""
    )
    return [line for line in str(text).splitlines() if PAYMENT.search(line)]


@pytest.mark.parametrize("width", [1440, 390])
def test_a_call_is_approved_whole_and_the_page_says_what_was_done(
    world: World, console: Console, gate: Gate, width: int
) -> None:
    page = console.open("bob", viewport={"width": width, "height": 900})
    page.goto("/inbox/")
    row = page.locator(f"#gate-{gate.id}")
    assert "None" not in row.inner_text() and "€" not in row.inner_text()
    row.get_by_role("link", name="register").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(ASKED)
    expect(page.locator("#asked + *")).to_contain_text("ada")
    assert spoken_of_payments(page) == []
    assert empty_facts(page) == []
    wait_for_live(page)
    page.get_by_label("Reason").fill("Ada is new.")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You are about to approve")).to_be_visible()
    expect(page.locator("main")).to_contain_text("ada")
    assert spoken_of_payments(page) == []
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    world.settle()

    receipt = page.locator("#standing .receipt")
    expect(receipt.get_by_text("Done", exact=True)).to_be_visible()
    expect(receipt.get_by_text("register was carried out, at")).to_be_visible()
    assert spoken_of_payments(page) == []
    assert empty_facts(page) == []
    assert [entry["name"] for entry in ledger("registered")] == ["ada"]
    page.goto("/inbox/?view=decided")
    expect(page.locator(f"#gate-{gate.id}").get_by_text("Done", exact=True)).to_be_visible()
    page.goto(f"/runs/{gate.run_id}/")
    page.locator("#step-0 > summary").click()
    expect(page.locator("#step-0").get_by_role("link", name="See the request")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def empty_facts(page: Page) -> list[str]:
    """Terms of the page that have nothing beside them."""
    terms = page.locator("main dl dt").all()
    return [
        term.inner_text()
        for term in terms
        if not term.locator("xpath=following-sibling::dd[1]").inner_text().strip()
    ]


def test_a_call_that_is_denied_was_not_done(world: World, console: Console, gate: Gate) -> None:
    page = console.open("bob")
    page.goto(f"/gates/{gate.id}/")
    page.get_by_label("Reason").fill("Nobody knows her.")
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("You denied this request.")).to_be_visible()
    world.settle()

    said = "The call of register was refused. Nothing was done."
    expect(page.get_by_text(said)).to_be_visible()
    assert spoken_of_payments(page) == []
    assert ledger("register-called") == []


def test_a_passkey_signs_the_arguments_of_a_call(world: World, named: Console) -> None:
    gate = registering(world, "passkey")
    page = named.open("bob")
    plug_in(page)
    key = enrol(world, page)
    for was, forged in (("ada", "eve"), ("", "")):
        page.goto(f"/gates/{gate.id}/")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("You are about to approve")).to_be_visible()
        page.evaluate(
            """([was, forged]) => {
              const place = document.querySelector('[data-arguments]');
              if (was) place.innerHTML = place.innerHTML.replaceAll(was, forged);
            }""",
            [was, forged],
        )
        sign(page)
        if was:
            words = "The arguments on this page are not what would be signed"
            expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
            assert not Decision.objects.exists()
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    assert Decision.objects.get().key == key
    world.settle()
    assert [entry["name"] for entry in ledger("registered")] == ["ada"]


@pytest.fixture
def registered(world: World) -> None:
    from runs import registry
    from tests.browser.workflows import telling
    from tests.harness import as_role

    assert telling.name == "telling"
    with as_role("placet_owner"):
        registry.register(registry.collect())


@pytest.mark.usefixtures("registered")
def test_arguments_of_every_shape_are_shown_as_the_browser_compares_them(
    world: World, named: Console
) -> None:
    """Whatever JSON can hold is signed when it is shown whole, and not when a part is missing."""
    consent = {"tier": "passkey", "thresholds": [{"group": "people", "count": 1}]}
    world.join("people", world.bob)
    world.publish({"name": "Telling", "when": {"tools": ["tell"]}, "then": {"consent": consent}})
    run = world.start(
        "telling",
        value={
            "10": [1, -2.5, 0.00001, 1.5e-7, 9007199254740991, 0],
            "9": {"none": None, "yes": True, "no": False, "empty": "", "deep": [[{"a": ["b"]}]]},
            "nothing": {},
            "no list": [],
            "currency": "EUR",
            "amount_minor": 9870,
            "turned \u202e": "hides\u200b\ttabs\nand lines, <b>é</b> &amp; \U0001f600",
        },
    )
    world.settle()
    (gate,) = world.gates(run)
    page = named.open("bob")
    plug_in(page)
    enrol(world, page)
    for alter in (
        "e => e.querySelector('ol li').remove()",
        "e => e.querySelector('dl').append('and more')",
        "e => { e.querySelector('dt').textContent = 'another'; }",
        "e => { e.querySelector('ol ol').replaceWith(e.querySelector('ol ol li')); }",
        "",
    ):
        page.goto(f"/gates/{gate.id}/")
        page.get_by_role("button", name="Approve").click()
        place = page.locator("[data-arguments] .value")
        expect(place).to_contain_text("U+202E")
        if alter:
            place.evaluate(alter)
        sign(page)
        if alter:
            words = "The arguments on this page are not what would be signed"
            expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
            assert not Decision.objects.exists()
    expect(page.get_by_text("You approved this request.")).to_be_visible()
    world.settle()
    assert len(ledger("told")) == 1
