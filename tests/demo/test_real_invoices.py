"""The published Peppol examples: what is truly wrong with each, verified by hand.

Their sums are right, all of them (Allowance-example: 4000 + 1000 + 900 = 5900, less 200 and
plus 200 is 5900, VAT 25% of 4900 is 1225, together 7125, less 1000 prepaid is 6125; the
base and sales order examples: 2800 - 1500 + 25 = 1325, VAT 331.25, together 1656.25;
vat-category-E: 1200 without VAT). None of their accounts is an IBAN. Three of them bear the
number Snippet1 of one supplier, two of these for the same amount.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from console.demo.checks import Checked, check_duplicates, check_file

INVOICES = Path(__file__).resolve().parents[3] / "shared" / "data" / "invoices"
NOT_AN_IBAN = (
    "The account 'IBAN32423940' is not a valid IBAN: "
    "it does not begin with a country and two check digits."
)

pytestmark = pytest.mark.skipif(
    not INVOICES.is_dir(), reason="The real invoices are not beside this checkout."
)


def checked() -> dict[str, Checked]:
    files = sorted(INVOICES.glob("*.xml"))
    entries = check_duplicates([check_file(p.name, p.read_bytes()) for p in files])
    return {entry.file: entry for entry in entries}


def test_what_is_wrong_with_each() -> None:
    assert {file: [str(f.code) for f in entry.findings] for file, entry in checked().items()} == {
        "Allowance-example.xml": ["invalid_account", "conflicting"],
        "base-example.xml": ["invalid_account", "conflicting"],
        "sales-order-example.xml": ["invalid_account", "conflicting", "duplicate"],
        "vat-category-E.xml": ["invalid_account"],
    }


def test_what_is_said_of_each() -> None:
    said = {file: [f.message for f in entry.findings] for file, entry in checked().items()}
    assert said["Allowance-example.xml"] == [
        NOT_AN_IBAN,
        "Number Snippet1 from the same supplier also lies there as base-example.xml, "
        "sales-order-example.xml, with another amount or another account.",
    ]
    assert said["sales-order-example.xml"][2] == (
        "The same invoice Snippet1 already lies there as base-example.xml."
    )
    assert said["vat-category-E.xml"] == [
        "The account 'SE1212341234123412' is not a valid IBAN: its check digits do not match."
    ]


def test_what_each_asks_for() -> None:
    assert {
        file: (entry.amount_minor, entry.invoice and entry.invoice.currency)
        for file, entry in checked().items()
    } == {
        "Allowance-example.xml": (612_500, "EUR"),
        "base-example.xml": (165_625, "EUR"),
        "sales-order-example.xml": (165_625, "EUR"),
        "vat-category-E.xml": (120_000, "GBP"),
    }


def test_with_an_iban_put_in_each_would_be_sound_by_itself() -> None:
    for path in INVOICES.glob("*.xml"):
        data = path.read_bytes()
        for account in (b"IBAN32423940", b"SE1212341234123412"):
            data = data.replace(account, b"DE89370400440532013000")
        assert check_file(path.name, data).is_sound, path.name
