"""Passkeys in a browser with a virtual authenticator: enrolled, used, and every way to be
deceived with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from django.conf import settings
from playwright.sync_api import Page, Route, expect

from approvals import envelope, signing
from approvals.models import Decision, Gate, Key
from runs.clock import database_now
from tests.approvals.attacks import parked_at
from tests.approvals.enrolled import season
from tests.browser.authenticators import Authenticator, plug_in
from tests.browser.web import Console
from tests.harness import World
from tests.zoo import ledger

PHONE = {"width": 390, "height": 844}


def enrol(world: World, page: Page, name: str = "Laptop") -> Key:
    page.goto("/keys/")
    page.locator("[data-passkey-form]").get_by_label("Name").fill(name)
    page.get_by_role("button", name="Enrol a passkey").click()
    expect(page.get_by_text(f"{name} is with the gatekeeper").first).to_be_visible()
    world.keep_gates()
    expect(page.get_by_label("Your keys").get_by_text(name)).to_be_visible()
    return Key.objects.get(name=name)


@pytest.fixture
def page(world: World, named: Console) -> Page:
    return named.open("bob")


@pytest.fixture
def device(page: Page) -> Authenticator:
    return plug_in(page)


@pytest.fixture
def gate(world: World) -> Gate:
    return world.gates(world.park_at_gates(9870))[0]


def wait_until(page: Page, is_so: Callable[[], bool]) -> None:
    for _ in range(100):
        if is_so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("It did not come to be.")


def to_confirm(page: Page, gate: Gate, reason: str = "") -> None:
    page.goto(f"/gates/{gate.id}/")
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("You are about to approve")).to_be_visible()


def sign(page: Page) -> None:
    page.get_by_role("button", name="Approve with a passkey").click()


def refused(page: Page, words: str) -> None:
    expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
    assert not Decision.objects.exists()


def test_a_passkey_is_enrolled_and_signs_what_bob_reads(
    world: World, page: Page, device: Authenticator, gate: Gate
) -> None:
    key = enrol(world, page)
    assert page.get_by_label("Your keys").get_by_text("Fresh").is_visible()

    to_confirm(page, gate, "Two lines:\nit matches the invoice, “€98.70”.  ")
    sign(page)
    expect(page.get_by_text("You approved this request.")).to_be_visible()

    decision = Decision.objects.get()
    assert (decision.method, decision.key, decision.person) == ("passkey", key, world.bob)
    assert decision.reason.startswith("Two lines:\nit")
    because = signing.why_unsigned(
        decision,
        tier="passkey",
        digest=envelope.digest(bytes(gate.envelope)),
        on_behalf_of_id=None,
        typed="",
        at=database_now(),
        origins=settings.PLACET_ORIGINS,
    )
    assert because == ""
    world.settle()
    assert [entry["amount_minor"] for entry in ledger("paid")] == [9870]
    page.goto("/keys/")
    expect(page.get_by_label("Your keys").get_by_text("last used")).to_be_visible()


def test_a_device_that_has_a_passkey_of_bobs_makes_no_second_one(
    world: World, page: Page, device: Authenticator
) -> None:
    enrol(world, page)
    page.locator("[data-passkey-form]").get_by_label("Name").fill("Again")
    page.get_by_role("button", name="Enrol a passkey").click()
    alert = page.get_by_role("alert").filter(has_text="This device has a passkey of yours already")
    expect(alert).to_contain_text("Nothing was enrolled.")
    assert Key.objects.count() == 1


def test_a_second_passkey_is_signed_for_by_the_first(
    world: World, page: Page, device: Authenticator
) -> None:
    enrol(world, page)
    # Only the new device is touched until it has made its passkey; then Bob takes the old one.
    device.is_touched(False)
    page.evaluate(
        """() => {
          const get = navigator.credentials.get.bind(navigator.credentials);
          const taken = new Promise(resolve => { window.take = resolve; });
          navigator.credentials.get = async (asked) => { await taken; return get(asked); };
        }"""
    )
    other = plug_in(page, "usb")
    page.locator("[data-passkey-form]").get_by_label("Name").fill("Token")
    page.get_by_role("button", name="Enrol a passkey").click()
    wait_until(page, lambda: len(other.credentials()) == 1)
    other.is_touched(False)
    device.is_touched(True)
    page.evaluate("take()")
    expect(page.get_by_text("Token is with the gatekeeper").first).to_be_visible()
    world.keep_gates()
    assert Key.objects.get(name="Token").is_introduced


def test_who_is_not_verified_signs_nothing(
    world: World, page: Page, device: Authenticator, gate: Gate
) -> None:
    enrol(world, page)
    device.is_verified(False)
    to_confirm(page, gate)
    sign(page)
    refused(page, "did not verify who you are. Nothing was recorded.")

    device.is_verified(True)
    sign(page)
    expect(page.get_by_text("You approved this request.")).to_be_visible()


def test_a_page_that_does_not_ask_for_verification_gets_nothing_from_the_server(
    world: World, page: Page, device: Authenticator, gate: Gate, named: Console
) -> None:
    enrol(world, page)
    device.is_verified(False)
    to_confirm(page, gate)
    page.evaluate(
        """() => {
          const get = navigator.credentials.get.bind(navigator.credentials);
          navigator.credentials.get = ({publicKey}) =>
            get({publicKey: {...publicKey, userVerification: 'discouraged'}});
        }"""
    )
    sign(page)
    refused(page, "did not verify who used it")
    named.faults.clear()


def test_another_key_under_the_same_name_signs_nothing(
    world: World, page: Page, device: Authenticator, gate: Gate, named: Console
) -> None:
    enrol(world, page)
    device.forge()
    to_confirm(page, gate)
    sign(page)
    refused(page, "The passkey did not sign this")
    named.faults.clear()


def test_facts_that_were_altered_on_the_page_are_not_signed(
    world: World, page: Page, device: Authenticator, gate: Gate
) -> None:
    enrol(world, page)
    for alter, words in (
        ("document.querySelector('h1 .amount').textContent = '€1.00'", "The sentence on this page"),
        ("document.querySelector('h1 bdi').textContent = 'ACME'", "The sentence on this page"),
        (
            "(e => e.textContent = e.textContent.replace('9870', '100'))"
            "(document.querySelector('[data-envelope]'))",
            "Your browser computes another digest than the page shows",
        ),
        (
            "document.querySelector('[data-digest]').textContent = '0'.repeat(64)",
            "Your browser computes another digest than the page shows",
        ),
        (
            "document.querySelector('[name=digest]').value = '0'.repeat(64)",
            "Your browser computes another digest than the page shows",
        ),
        (
            "history.replaceState(null, '', '/gates/0193d1a0-0000-7000-8000-000000000000/decide/')",
            "the facts of another request",
        ),
    ):
        to_confirm(page, gate)
        page.evaluate(alter)
        sign(page)
        refused(page, words)
    to_confirm(page, gate)
    sign(page)
    expect(page.get_by_text("You approved this request.")).to_be_visible()


def altered(page: Page, change: Callable[[str], str]) -> None:
    """As a web process would serve it that is somebody else's."""

    def serve(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=change(response.text()))

    page.route("**/decide/", serve)


def test_facts_that_were_altered_in_the_response_are_not_signed(
    world: World, page: Page, device: Authenticator, gate: Gate, named: Console
) -> None:
    enrol(world, page)
    text = bytes(gate.envelope).decode()
    fake = text.replace("9870", "100")
    forged = envelope.digest(fake.encode()).hex()

    def facts(html: str) -> str:
        return html.replace("9870", "100").replace("98.70", "1.00")

    altered(page, facts)
    to_confirm(page, gate)
    sign(page)
    refused(page, "Your browser computes another digest than the page shows")

    # A forger who keeps everything in step: the browser is content, but what is signed then is
    # not what the gate asks about.
    page.unroute("**/decide/")
    altered(page, lambda html: facts(html).replace(bytes(gate.digest).hex(), forged))
    to_confirm(page, gate)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Pay €1.00")
    page.unroute("**/decide/")
    sign(page)
    refused(page, "What you saw is not what this gate asks about; nothing was decided.")
    named.faults.clear()  # Chromium reports the 409 of the refused form.


def test_a_forger_who_posts_the_right_digest_has_no_signature_for_it(
    world: World, page: Page, device: Authenticator, gate: Gate, named: Console
) -> None:
    enrol(world, page)
    fake = bytes(gate.envelope).decode().replace("9870", "100")
    forged = hashlib.sha256(envelope.TAG + fake.encode()).hexdigest()
    real = bytes(gate.digest).hex()

    def change(html: str) -> str:
        return html.replace("9870", "100").replace("98.70", "1.00").replace(real, forged)

    altered(page, change)
    to_confirm(page, gate)
    page.unroute("**/decide/")

    def swap(route: Route) -> None:
        route.continue_(post_data=(route.request.post_data or "").replace(forged, real))

    page.route("**/decide/", swap)
    sign(page)
    refused(page, "What was signed is another statement than this one.")
    named.faults.clear()


def test_the_pages_of_keys_fit_a_phone(world: World, named: Console, gate: Gate) -> None:
    page = named.open("bob", viewport=PHONE, color_scheme="dark")
    plug_in(page)
    enrol(world, page, "A name that is as long as a name of a key may be, sixty letters.."[:60])
    widths = [page.evaluate("document.documentElement.scrollWidth")]
    to_confirm(page, gate)
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    assert max(widths) <= PHONE["width"]
    sign(page)
    expect(page.get_by_text("You approved this request.")).to_be_visible()


def test_a_request_of_a_passkeys_tier_is_approved_by_a_passkey_alone(
    world: World, page: Page, device: Authenticator
) -> None:
    gate = parked_at(world, "passkey")
    to_confirm(page, gate)
    expect(page.get_by_text("signed with a passkey. You have no passkey yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    enrol(world, page)

    to_confirm(page, gate)
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    sign(page)

    expect(page.get_by_text("You approved this request.")).to_be_visible()
    world.settle()
    assert len(ledger("paid")) == 1


def test_without_scripts_the_page_says_what_else_there_is(world: World, named: Console) -> None:
    gate = parked_at(world, "passkey")
    page = named.open("bob", java_script_enabled=False)
    to_confirm(page, gate)
    command = f"manage.py decide {gate.id} --user bob --approve --key FILE"
    expect(page.locator("noscript code")).to_have_text(command)
    assert page.get_by_role("button", name="Approve").count() == 0


def test_what_the_tier_has_bob_type_is_signed_with_the_rest(
    world: World, page: Page, device: Authenticator, named: Console
) -> None:
    gate = parked_at(world, "typed")
    key = enrol(world, page)
    to_confirm(page, gate)
    expect(page.get_by_text("is fresh: for a request as high as this")).to_be_visible()
    season(key)

    to_confirm(page, gate)
    page.get_by_role("button", name="Go back").click()
    expect(page.get_by_role("heading", name="Your decision")).to_be_visible()
    to_confirm(page, gate)
    page.get_by_label("Type the amount").fill("0000")
    sign(page)
    refused(page, "Type the amount")
    named.faults.clear()
    to_confirm(page, gate)
    page.get_by_label("Type the amount").fill(f" {gate.payee[-4:].lower()} ")
    sign(page)

    expect(page.get_by_text("You approved this request.")).to_be_visible()
    assert Decision.objects.get().typed == gate.payee[-4:].upper()
    world.settle()
    assert len(ledger("paid")) == 1


def test_a_critical_request_takes_the_keys_of_two_people(
    world: World, page: Page, device: Authenticator, named: Console
) -> None:
    gate = parked_at(world, "critical")
    hers = named.open("carol")
    plug_in(hers)
    for who, name in ((page, "Bob's"), (hers, "Carol's")):
        season(enrol(world, who, name))
        to_confirm(who, gate)
        who.get_by_label("Type the amount").fill(gate.payee[-4:])
        sign(who)
        expect(who.get_by_text("You approved this request.")).to_be_visible()
    assert Decision.objects.filter(gate=gate, method="passkey").count() == 2
    world.keep_gates()
    gate.refresh_from_db()
    assert gate.clears_at is not None and not ledger("paid")


def test_at_a_number_people_are_led_to_the_name(world: World, console: Console) -> None:
    page = console.open("bob")
    page.goto("/keys/")
    link = page.get_by_role("link", name="http://localhost")
    expect(link).to_be_visible()
    assert page.locator("[data-passkey-form]").count() == 0
