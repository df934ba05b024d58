"""The main job from nothing: `manage.py up`, a browser, the sample bank, and nothing else.

One Placet for the module; each test goes on where the one before it stopped, as people do.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.embedded.placet import Placet

pytestmark = [pytest.mark.processes, pytest.mark.browser]

PAID = "DE89370400440532013000"
BY_TWO = "FR1420041010050500013M02606"
DENIED = "GB29NWBK60161331926819"
LEFT_OPEN = "SE4550000000058398257466"
OUTCOME = "Paid|Denied"
REASON = "We cancelled this contract in March."


class Visit:
    """People at one Placet, each with a browser profile of their own."""

    def __init__(self, placet: Placet, browser: Browser) -> None:
        self.placet, self.browser = placet, browser
        self.pages: dict[str, Page] = {}

    @property
    def password(self) -> str:
        return (self.placet.home / "demo-password").read_text().strip()

    def sign_in(self, username: str) -> Page:
        context = self.browser.new_context(base_url=f"http://127.0.0.1:{self.placet.port}")
        page = self.pages[username] = context.new_page()
        page.goto("/")
        page.get_by_label("Username").fill(username)
        page.get_by_label("Password").fill(self.password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("link", name="Inbox")).to_be_visible()
        return page

    def open_gate(self, username: str, payee: str) -> Page:
        page = self.pages[username]
        page.get_by_role("link", name="Inbox").click()
        request_for(page, payee).get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Pay ")
        return page

    def approve(self, username: str, payee: str) -> Page:
        page = self.open_gate(username, payee)
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("You are about to approve")).to_be_visible()
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("You approved this request.")).to_be_visible()
        return page

    def payments(self) -> list[dict[str, Any]]:
        """What the bank's own ledger says, asked over HTTP with the bank's own key."""
        key = (self.placet.home / "bank" / "api-key").read_text().strip()
        answer = httpx.get(
            f"{self._bank_url()}/payments", headers={"X-Api-Key": key}, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    def performed_by_key(self) -> list[int]:
        """For each idempotency key that the bank has seen, how many calls performed it."""
        by_key = httpx.get(f"{self._bank_url()}/calls", trust_env=False).json()["by_key"]
        return [counts["performed"] for counts in by_key.values()]

    def _bank_url(self) -> str:
        return self.placet.written()["executor"]["PLACET_DEMO_BANK_URL"]

    def wait_for_payments(self, *payees: str) -> None:
        wanted = sorted(payees)
        self.placet.wait_for(lambda: sorted(p["iban"] for p in self.payments()) == wanted, 20)

    def forget_the_browser(self) -> None:
        for page in self.pages.values():
            page.context.close()
        self.pages.clear()


def request_for(page: Page, payee: str) -> Locator:
    """The row of the inbox that asks about a payment to this account."""
    return page.locator("tr").filter(has_text=payee)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Visit]:
    placet = Placet(tmp_path_factory.mktemp("main-job") / "home")
    placet.start()
    placet.wait_until_up()
    placet.wait_for(lambda: placet.output.count("is open for send_payment") == 4, 30)
    made = Visit(placet, browser)
    yield made
    made.forget_the_browser()
    placet.stop()


def test_the_first_visit_finds_payments_to_decide_and_none_made(visit: Visit) -> None:
    page = visit.sign_in("bob")
    page.get_by_role("link", name="Inbox").click()
    for payee in (PAID, BY_TWO, DENIED, LEFT_OPEN):
        expect(request_for(page, payee)).to_be_visible()
    assert visit.payments() == []


def test_an_approval_pays_exactly_what_was_shown_and_once(visit: Visit) -> None:
    page = visit.approve("bob", PAID)
    visit.wait_for_payments(PAID)
    expect(page.get_by_text("Paid €1,487.50 to")).to_be_visible()
    (payment,) = visit.payments()
    assert (payment["iban"], payment["amount_minor"], payment["currency"]) == (PAID, 148_750, "EUR")
    assert visit.performed_by_key() == [1]


def test_a_payment_that_needs_two_people_waits_for_the_second(visit: Visit) -> None:
    page = visit.approve("bob", BY_TWO)
    expect(page.get_by_text("1 of 2").first).to_be_visible()
    assert [payment["iban"] for payment in visit.payments()] == [PAID]
    visit.sign_in("carol")
    visit.approve("carol", BY_TWO)
    visit.wait_for_payments(PAID, BY_TWO)


def test_a_denial_with_its_reason_ends_the_gate_and_nothing_reaches_the_bank(
    visit: Visit,
) -> None:
    page = visit.open_gate("carol", DENIED)
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("You denied this request.")).to_be_visible()
    expect(page.get_by_text("was refused. Nothing was paid.")).to_be_visible()
    assert DENIED not in str(visit.payments())
    assert visit.performed_by_key() == [1, 1]


def test_the_page_of_the_run_tells_who_decided_what(visit: Visit) -> None:
    page = visit.sign_in("alice")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("link", name="pay_invoices").first.click()
    expect(page.get_by_role("heading", name="pay_invoices")).to_be_visible()
    expect(page.get_by_text("It waits for")).to_be_visible()
    for step in page.locator("details.flow-step").all():
        step.locator("summary").first.click()
    told = page.locator("main").inner_text()
    assert REASON in told
    assert told.count("by bob") == 2
    assert told.count("by carol") == 2
    assert "148750" in told.replace(",", "")


def test_the_auditor_reads_who_decided(visit: Visit) -> None:
    page = visit.sign_in("dave")
    page.get_by_role("link", name="Audit").click()
    page.get_by_label("What").select_option("decided")
    page.get_by_role("button", name="Filter").click()
    rows = page.get_by_role("table").locator("tbody tr")
    expect(rows).to_have_count(4)
    who = [row.locator("b").first.inner_text() for row in rows.all()]
    assert sorted(who) == ["bob", "bob", "carol", "carol"]
    for row in rows.all():
        row.locator("summary").click()
    verdicts = page.get_by_role("table").inner_text()
    assert verdicts.count("deny") == 1
    assert verdicts.count("approve") == 3


def test_after_a_stop_and_a_start_everything_is_as_it_was_left(visit: Visit) -> None:
    before = visit.payments()
    visit.forget_the_browser()
    assert visit.placet.stop(signal.SIGINT) == 0
    visit.placet.start()
    visit.placet.wait_until_up()

    assert visit.payments() == before
    page = visit.sign_in("bob")
    page.get_by_role("link", name="Inbox").click()
    # Rows that others closed keep their place for a moment, greyed out.
    mine = page.get_by_role("table", name="For you to decide").locator("tr:not(.is-closed)")
    expect(mine.get_by_role("link")).to_have_count(1)
    expect(mine.get_by_role("link").locator("xpath=ancestor::tr")).to_contain_text(LEFT_OPEN)
    page.get_by_role("link", name="Closed", exact=True).click()
    for payee in (PAID, BY_TWO, DENIED):
        expect(request_for(page, payee)).to_contain_text(re.compile(OUTCOME))


def test_the_last_decision_lets_the_run_end_with_its_report(visit: Visit) -> None:
    visit.approve("bob", LEFT_OPEN)
    visit.wait_for_payments(PAID, BY_TWO, LEFT_OPEN)
    assert visit.performed_by_key() == [1, 1, 1]
    page = visit.pages["bob"]
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("link", name="pay_invoices").first.click()
    expect(page.get_by_text("It ended, but not every step went well: 1 denied")).to_be_visible()
