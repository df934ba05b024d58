"""The page about policies: its example is evaluated, and it names every word of the language."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from approvals.rules import conditions, outcomes
from approvals.rules.cases import read_cases
from approvals.rules.document import from_text, normalise
from approvals.rules.evaluate import evaluate
from approvals.rules.facts import Circumstances, Request, Summed
from approvals.rules.outcomes import EXPIRES_AFTER_SECONDS
from tests.approvals.rules.asking import ACCOUNT, DAY, OTHER_ACCOUNT, document, paying, rule
from tests.test_docs import ROOT, blocks, first_column, section

PAGE = ROOT / "docs/how-to/write-policies.md"
SUPPLIER = "FR7630006000011234567890189"


def invoice(amount_minor: int, **changed: Any) -> Request:
    return paying(amount_minor, **{"tool": "pay_invoice", "payee": SUPPLIER} | changed)


def refund(**changed: Any) -> Request:
    return paying(1200, **{"tool": "pay_refund", "payee": ACCOUNT, "payee_name": "Ines"} | changed)


def known(paid_today: int = 0, *, account_changed: bool = False) -> Circumstances:
    return Circumstances(
        sums={("payee", "EUR", DAY): Summed(amount_minor=paid_today)},
        account_changed=account_changed,
    )


SPACED = "NL91 ABNA 0417 1643 00"
SUNDAY = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
EXAMPLES: dict[str, tuple[Request, Circumstances]] = {
    "an invoice of 900.00 EUR, nothing unusual": (invoice(90_000), known()),
    "an invoice of exactly 10,000.00 EUR": (invoice(1_000_000), known()),
    "an invoice of 10,000.01 EUR": (invoice(1_000_001), known()),
    "an invoice of 900.00 EUR after 9,500.00 EUR on the same day": (
        invoice(90_000),
        known(950_000),
    ),
    "an invoice of 900.00 EUR to a supplier whose account is another one": (
        invoice(90_000),
        known(account_changed=True),
    ),
    "an invoice of 0.01 EUR to a barred account": (invoice(1, payee=OTHER_ACCOUNT), known()),
    "an invoice of 900.00 EUR to a barred account, written with spaces": (
        invoice(90_000, payee=SPACED),
        known(),
    ),
    "an invoice of 900.00 EUR that names no supplier": (
        invoice(90_000, payee_name=""),
        known(),
    ),
    "an invoice of 900.00 USD": (invoice(90_000, currency="USD"), known()),
    "a refund of 12.00 EUR to Ines, on a Tuesday at 10:00": (refund(), known()),
    "the same refund with a note": (refund(free_text=("note",)), known()),
    "the same refund on a Sunday": (refund(at=SUNDAY), known()),
}


def rows() -> list[tuple[str, str, str]]:
    """What the page says is asked for, answered, and by which rule."""
    found = re.findall(r"^\| (an? .*?|the .*?) \| (\w+) \| (.*?) \|$", PAGE.read_text(), re.M)
    return [(asked, answer, by) for asked, answer, by in found]


def test_every_example_of_the_page_is_evaluated() -> None:
    assert [asked for asked, _, _ in rows()] == list(EXAMPLES)


@pytest.mark.parametrize(("asked", "answer", "by"), rows())
def test_an_example_is_answered_as_the_page_says(asked: str, answer: str, by: str) -> None:
    (text,) = blocks(PAGE, "yaml")
    request, circumstances = EXAMPLES[asked]
    outcome = evaluate(from_text(text), request, circumstances)
    assert (outcome.kind, outcome.name or "no rule") == (answer, by), outcome.because


def test_the_cases_of_the_page_are_answered_as_they_say() -> None:
    (text,), (cases,) = blocks(PAGE, "yaml"), blocks(PAGE, "yml")
    told = read_cases(cases)
    assert [one.difference(from_text(text))[1] for one in told] == [""] * len(told) == ["", ""]
    strict = from_text(text.replace("group: payments\n        tier: passkey", "group: payments"))
    assert told[0].difference(strict)[1] == "the tier is confirm, not passkey"


def test_every_word_of_the_language_is_on_the_page() -> None:
    text = section(PAGE, "Conditions")
    shown = {word for row in text.splitlines() for word in re.findall(r"`(\w+)`", cells(row))}
    assert shown - {"when"} == set(conditions.CONDITIONS)
    text = section(PAGE, "Outcomes")
    assert set(first_column(text)) - {"then"} == {*outcomes.KINDS, *outcomes.CONSENT}
    assert all(f"`{word}`" in text for word in (*outcomes.TIERS, *outcomes.MODES))


def cells(row: str) -> str:
    """The first cell of a row of a table."""
    return row.split("|")[1] if row.startswith("|") else ""


def test_the_defaults_of_the_page_are_those_of_the_code() -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| .* \| `?([\w,]*)`? ?\|$", PAGE.read_text(), re.M))
    (one,) = document(rule({"consent": {"group": "a"}}))["rules"]
    plain = one["then"]["consent"]
    assert int(shown["expires_after_seconds"].replace(",", "")) == EXPIRES_AFTER_SECONDS
    for key in ("tier", "mode"):
        assert shown[key] == plain[key]
    for key in ("remind_after_seconds", "cooling_off_seconds", "dwell_seconds"):
        assert shown[key] == str(plain[key])
    assert (shown["escalation"], plain["escalation"]) == ("none", None)


def test_each_condition_of_the_page_is_taken_in_its_short_form() -> None:
    for plural, single in conditions.SINGLE.items():
        value: Any = "x"
        if single == "amount":
            value = {"currency": "EUR"}
        if single == "sum":
            value = {"by": "run", "currency": "EUR", "window_seconds": 1, "above_minor": 0}
        made = normalise({"rules": [rule("allow", **{single: value})]})
        assert list(made["rules"][0]["when"]) == [plural]
