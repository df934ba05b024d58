"""What is found wrong with an invoice: each fault by itself, in an otherwise sound one."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.demo.checks import Checked, as_json, check_duplicates, check_file
from console.demo.reading import MAX_INVOICE_BYTES, MAX_LINES
from tests.demo.documents import IBAN, Document, Item, cents, half_up

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;">]><Invoice>&c;</Invoice>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE i [<!ENTITY x SYSTEM "file:///etc/hostname">]>
<Invoice>&x;</Invoice>"""


def found(data: bytes) -> list[str]:
    return [str(f.code) for f in check_file("invoice.xml", data).findings]


def messages(data: bytes) -> list[str]:
    return [f.message for f in check_file("invoice.xml", data).findings]


def test_a_sound_invoice_has_no_finding_and_gives_a_payment() -> None:
    checked = check_file("one.xml", Document(number="A 1", currency="EUR").xml())
    assert checked.is_sound
    assert as_json(checked) == {
        "file": "one.xml",
        "number": "A 1",
        "supplier": "Fernhill Gartenbau GmbH",
        "creditor": "Fernhill Gartenbau GmbH",
        "iban": IBAN,
        "amount_minor": 11_900,
        "currency": "EUR",
        "due_on": "2026-05-17",
        "lines": 1,
        "findings": [],
        "further_findings": 0,
    }
    assert checked.invoice is not None and checked.invoice.due_on == date(2026, 5, 17)


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "not_xml", "not well-formed XML"),
        (b"%PDF-1.7\n%\xe2\xe3", "not_xml", "not well-formed XML"),
        (b"<Invoice>", "not_xml", "not well-formed XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "not_xml", "not well-formed XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "not_xml", "not well-formed XML"),
        (LAUGHS, "unsafe_xml", "declares a document type or entities"),
        (OUTSIDE, "unsafe_xml", "declares a document type or entities"),
        (b" " * (MAX_INVOICE_BYTES + 1), "too_large", "larger than 5 MiB"),
        (b"<a/>", "wrong_document", "The document is a 'a', not a UBL 2.1 invoice."),
        (Document(root="CreditNote").xml(), "wrong_document", "a credit note"),
        (
            Document(extra="<cac:InvoiceLine/>" * MAX_LINES).xml(),
            "too_many_lines",
            "more than 5,000 lines",
        ),
    ],
)
def test_what_is_no_invoice_is_a_finding(data: bytes, code: str, words: str) -> None:
    checked = check_file("x", data)
    assert checked.invoice is None
    assert [str(f.code) for f in checked.findings] == [code]
    assert words in checked.findings[0].message


def test_a_deep_document_is_no_crash() -> None:
    deep = b"<a>" * 200_000 + b"</a>" * 200_000
    assert found(deep) == ["wrong_document"]


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"account": ""}, "missing_account", "The invoice names no account to pay to."),
        (
            {"account": "IBAN32423940"},
            "invalid_account",
            "The account 'IBAN32423940' is not a valid IBAN: "
            "it does not begin with a country and two check digits.",
        ),
        (
            {"account": "DE89370400440532013001"},
            "invalid_account",
            "The account 'DE89370400440532013001' is not a valid IBAN: "
            "its check digits do not match.",
        ),
        (
            {"means": "59"},
            "not_by_transfer",
            "The invoice is to be paid by means 59, not by transfer.",
        ),
        (
            {"type_code": "381"},
            "wrong_type",
            "The invoice's type code is 381, which is not one to be paid unseen.",
        ),
        (
            {"currency": "XXX"},
            "unknown_currency",
            "'XXX' is not a currency of ISO 4217 that can be paid in.",
        ),
        (
            {"currency": "EURO"},
            "unknown_currency",
            "'EURO' is not a currency of ISO 4217 that can be paid in.",
        ),
        ({"number": " "}, "missing", "The invoice does not give the invoice number."),
        ({"number": "9" * 141}, "text_too_long", "ID is longer than 140 characters."),
        (
            {"supplier": "Acme\u202eemcA"},
            "hidden_characters",
            "RegistrationName contains the unseen character U+202E.",
        ),
        ({"due": "soon"}, "unreadable_date", "DueDate is not a date: 'soon'."),
        (
            {"prepaid": 11_900},
            "nothing_to_pay",
            "The amount to pay is 0.00 EUR: there is nothing to pay.",
        ),
        (
            {"prepaid": 11_901},
            "nothing_to_pay",
            "The amount to pay is -0.01 EUR: there is nothing to pay.",
        ),
        (
            {"lines": [Item(amount=10**13)]},
            "amount_too_large",
            "119,000,000,000.00 EUR is more than the demo pays at once.",
        ),
        (
            {"stated": {"PayableAmount": "1e3"}},
            "unreadable_amount",
            "PayableAmount is not a number: '1e3'.",
        ),
        (
            {"stated": {"PayableAmount": "NaN"}},
            "unreadable_amount",
            "PayableAmount is not a number: 'NaN'.",
        ),
        (
            {"stated": {"PayableAmount": "1,190.00"}},
            "unreadable_amount",
            "PayableAmount is not a number: '1,190.00'.",
        ),
        (
            {"stated": {"PayableAmount": ""}},
            "missing",
            "The invoice does not give the amount to pay.",
        ),
        ({"extra": "<cbc:ID>INV-2</cbc:ID>"}, "repeated", "ID stands there more than once."),
        (
            {"extra": "<cac:LegalMonetaryTotal/>"},
            "repeated",
            "LegalMonetaryTotal stands there more than once.",
        ),
        ({"lines": []}, "no_lines", "The invoice has no line."),
    ],
)
def test_each_fault_is_found_and_said(changes: dict[str, Any], code: str, message: str) -> None:
    data = Document(**changes).xml()
    assert code in found(data)
    assert message in messages(data)
    assert not check_file("x", data).is_sound


@pytest.mark.parametrize(
    ("stated", "code", "message"),
    [
        (
            {"LineExtensionAmount": "101.00"},
            "lines_total",
            "The sum of the lines comes to 100.00 EUR, but the invoice says 101.00 EUR.",
        ),
        (
            {"AllowanceTotalAmount": "5.00"},
            "allowances_total",
            "The sum of the allowances comes to 0.00 EUR, but the invoice says 5.00 EUR.",
        ),
        (
            {"ChargeTotalAmount": "5.00"},
            "charges_total",
            "The sum of the charges comes to 0.00 EUR, but the invoice says 5.00 EUR.",
        ),
        (
            {"TaxExclusiveAmount": "99.00"},
            "total_without_vat",
            "The total without VAT comes to 100.00 EUR, but the invoice says 99.00 EUR.",
        ),
        (
            {"TaxAmount": "20.00"},
            "vat_total",
            "The sum of the VAT comes to 19.00 EUR, but the invoice says 20.00 EUR.",
        ),
        (
            {"TaxInclusiveAmount": "119.01"},
            "total_with_vat",
            "The total with VAT comes to 119.00 EUR, but the invoice says 119.01 EUR.",
        ),
        (
            {"PayableAmount": "191.00"},
            "payable",
            "The amount to pay comes to 119.00 EUR, but the invoice says 191.00 EUR.",
        ),
        (
            {"PrepaidAmount": "19.00"},
            "payable",
            "The amount to pay comes to 100.00 EUR, but the invoice says 119.00 EUR.",
        ),
        (
            {"PayableRoundingAmount": "0.50"},
            "payable",
            "The amount to pay comes to 119.50 EUR, but the invoice says 119.00 EUR.",
        ),
    ],
)
def test_a_total_that_does_not_add_up_is_found(
    stated: dict[str, str], code: str, message: str
) -> None:
    data = Document(stated=stated).xml()
    assert code in found(data)
    assert message in messages(data)


def test_vat_may_be_off_by_rounding_line_by_line_and_no_more() -> None:
    lines = [Item(amount=10_03) for _ in range(3)]
    group = ("S", 19)
    true_tax = Document(lines=lines).vat()[group][1]
    for off, is_sound in ((1, True), (-1, True), (3, False), (-3, False)):
        tax = true_tax + off
        total = sum(i.amount for i in lines) + tax
        data = Document(
            lines=lines,
            vat_stated={group: cents(tax)},
            stated={
                "TaxAmount": cents(tax),
                "TaxInclusiveAmount": cents(total),
                "PayableAmount": cents(total),
            },
        ).xml()
        assert found(data) == ([] if is_sound else ["vat_amount"])


def test_a_line_may_be_off_by_two_cents_and_no_more() -> None:
    for price, is_sound in (("9.98", True), ("9.97", False), ("10.02", True), ("10.03", False)):
        data = Document(lines=[Item(amount=10_00, price=price)]).xml()
        assert found(data) == ([] if is_sound else ["line_amount"])


def test_a_price_may_be_for_more_than_one() -> None:
    line = Item(amount=24_50, quantity="10", price="245.00", base_quantity="100")
    assert found(Document(lines=[line]).xml()) == []
    line.base_quantity = "0"
    assert messages(Document(lines=[line]).xml()) == ["Line 1: the price is for a quantity of 0."]


def test_vat_on_something_else_than_the_lines_is_found() -> None:
    data = (
        Document()
        .xml()
        .replace(
            b"<cac:ClassifiedTaxCategory><cbc:ID>S</cbc:ID><cbc:Percent>19<",
            b"<cac:ClassifiedTaxCategory><cbc:ID>S</cbc:ID><cbc:Percent>7<",
        )
    )
    assert found(data) == ["vat_base", "vat_base"]


@pytest.mark.parametrize(
    ("percent", "amount", "codes"),
    [("3", "3.00", []), ("3", "3.02", []), ("3", "4.00", ["allowance_amount"])],
)
def test_an_allowance_by_percentage_is_computed(
    percent: str, amount: str, codes: list[str]
) -> None:
    whole = int(amount.replace(".", ""))
    computed = (
        f"</cbc:ChargeIndicator><cbc:MultiplierFactorNumeric>{percent}"
        "</cbc:MultiplierFactorNumeric>"
        "<cbc:BaseAmount currencyID='EUR'>100.00</cbc:BaseAmount>"
    )
    sound = Document(allowances=[Item(amount=whole)]).xml()
    data = sound.replace(b"</cbc:ChargeIndicator>", computed.encode())
    assert found(data) == codes


def test_a_net_price_that_is_not_gross_less_allowance_is_found() -> None:
    def priced(gross: str) -> bytes:
        allowance = (
            "</cbc:PriceAmount><cac:AllowanceCharge><cbc:ChargeIndicator>false"
            "</cbc:ChargeIndicator><cbc:Amount currencyID='EUR'>10.00</cbc:Amount>"
            f"<cbc:BaseAmount currencyID='EUR'>{gross}</cbc:BaseAmount></cac:AllowanceCharge>"
        )
        return Document().xml().replace(b"</cbc:PriceAmount>", allowance.encode())

    assert found(priced("110.00")) == []
    assert found(priced("120.00")) == ["price"]


def test_another_currency_in_an_amount_is_found() -> None:
    data = (
        Document()
        .xml()
        .replace(b'<cbc:PayableAmount currencyID="EUR"', b'<cbc:PayableAmount currencyID="SEK"')
    )
    assert messages(data) == ["PayableAmount is in SEK, but the invoice is in EUR."]


def test_vat_repeated_in_the_currency_of_the_tax_accounts_is_no_fault() -> None:
    second = (
        "<cbc:TaxCurrencyCode>SEK</cbc:TaxCurrencyCode>"
        "<cac:TaxTotal><cbc:TaxAmount currencyID='SEK'>217.34</cbc:TaxAmount></cac:TaxTotal>"
    )
    assert found(Document(extra=second).xml()) == []


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [("EUR", "119.00", 11_900), ("JPY", "119.00", 119), ("KWD", "119.00", 119_000)],
)
def test_minor_units_follow_iso_4217(currency: str, amount: str, minor: int) -> None:
    checked = check_file("x", Document(currency=currency).xml())
    assert (checked.findings, checked.amount_minor) == ((), minor)


def test_an_amount_finer_than_its_currency_is_found() -> None:
    data = Document(currency="JPY", lines=[Item(amount=100_50)]).xml()
    assert "LineExtensionAmount is 100.50, finer than JPY can be paid." in messages(data)
    finer = Document(stated={"PayableAmount": "119.001"}).xml()
    assert found(finer) == ["amount_precision", "payable"]


def test_the_first_account_that_is_an_iban_is_paid() -> None:
    more = (
        "<cac:PaymentMeans><cbc:PaymentMeansCode>58</cbc:PaymentMeansCode>"
        f"<cac:PayeeFinancialAccount><cbc:ID>{IBAN}</cbc:ID></cac:PayeeFinancialAccount>"
        "</cac:PaymentMeans>"
    )
    checked = check_file("x", Document(account="12-3456", extra=more).xml())
    assert (checked.findings, checked.iban) == ((), IBAN)


def test_a_payee_apart_from_the_supplier_is_the_creditor() -> None:
    payee = (
        "<cac:PayeeParty><cac:PartyName><cbc:Name>Factor AG</cbc:Name></cac:PartyName>"
        "</cac:PayeeParty>"
    )
    entry = as_json(check_file("x", Document(extra=payee).xml()))
    assert (entry["supplier"], entry["creditor"]) == ("Fernhill Gartenbau GmbH", "Factor AG")


def test_more_findings_than_are_kept_are_counted() -> None:
    lines = [Item(amount=10_00, price="1.00") for _ in range(15)]
    entry = as_json(check_file("x", Document(lines=lines).xml()))
    assert (len(entry["findings"]), entry["further_findings"]) == (10, 5)


def folder(*documents: Document) -> list[Checked]:
    return check_duplicates([check_file(f"{n}.xml", d.xml()) for n, d in enumerate(documents, 1)])


def codes(entries: list[Checked]) -> list[list[str]]:
    return [[str(f.code) for f in entry.findings] for entry in entries]


def test_of_equal_invoices_only_the_first_is_sound() -> None:
    entries = folder(Document(), Document(number="INV-2"), Document(number="inv-1"), Document())
    assert codes(entries) == [[], [], ["duplicate"], ["duplicate"]]
    assert entries[3].findings[0].message == "The same invoice INV-1 already lies there as 1.xml."


@pytest.mark.parametrize(
    "change", [{"account": "GB29NWBK60161331926819"}, {"lines": [Item(amount=200_00)]}]
)
def test_of_two_that_ask_for_different_things_none_is_sound(change: dict[str, Any]) -> None:
    entries = folder(Document(), Document(**change))
    assert codes(entries) == [["conflicting"], ["conflicting"]]
    assert entries[0].findings[0].message == (
        "Number INV-1 from the same supplier also lies there as 2.xml, "
        "with another amount or another account."
    )


def test_the_same_number_of_another_supplier_is_another_invoice() -> None:
    other = Document(supplier="Somebody Else", vat_id="DE136695976")
    assert codes(folder(Document(), other)) == [[], []]


@pytest.mark.parametrize("change", [{"supplier": "FERNHILL  Gartenbau gmbh"}, {"vat_id": "X1"}])
def test_a_supplier_is_known_by_its_vat_number_or_its_name(change: dict[str, str]) -> None:
    assert codes(folder(Document(), Document(**change))) == [[], ["duplicate"]]


# Amounts in cents; rates of real countries; sizes that keep the search quick.
items = st.builds(
    Item,
    amount=st.integers(-50_000_00, 50_000_00),
    rate=st.sampled_from([0, 5, 7, 19, 20, 25]),
)
parts = st.builds(
    Item, amount=st.integers(0, 9_000_00), rate=st.sampled_from([0, 5, 7, 19, 20, 25])
)
documents = st.builds(
    Document,
    lines=st.lists(items, min_size=1, max_size=6),
    allowances=st.lists(parts, max_size=3),
    charges=st.lists(parts, max_size=3),
    prepaid=st.integers(0, 1_000_00),
    rounding=st.integers(-99, 99),
)


@settings(max_examples=150)
@given(documents)
def test_true_sums_are_never_doubted(document: Document) -> None:
    payable = document.sums()["PayableAmount"]
    expected = [] if payable > 0 else ["nothing_to_pay"]
    assert found(document.xml()) == expected
    if payable > 0:
        assert check_file("x", document.xml()).amount_minor == payable


@settings(max_examples=150)
@given(
    documents,
    st.sampled_from(
        [
            "LineExtensionAmount",
            "TaxExclusiveAmount",
            "TaxInclusiveAmount",
            "AllowanceTotalAmount",
            "ChargeTotalAmount",
            "PayableAmount",
            "PrepaidAmount",
        ]
    ),
    st.integers(-1_000, 1_000).filter(bool),
)
def test_any_false_sum_is_found(document: Document, name: str, off: int) -> None:
    truth = document.sums()[name]
    document.stated[name] = cents(truth + off)
    assert set(found(document.xml())) - {"nothing_to_pay"}


@settings(max_examples=100)
@given(st.integers(0, 10_000_000), st.integers(1, 30), st.integers(-100_000, 100_000))
def test_vat_is_judged_as_an_independent_recomputation_does(
    amount: int, rate: int, tax: int
) -> None:
    group = ("S", rate)
    total = amount + tax
    document = Document(
        lines=[Item(amount=amount, rate=rate)],
        vat_stated={group: cents(tax)},
        stated={
            "TaxAmount": cents(tax),
            "TaxInclusiveAmount": cents(total),
            "PayableAmount": cents(total),
        },
    )
    # One amount went into it: half a cent for that, and half a cent for the result.
    is_right = abs(Fraction(amount * rate, 100) - tax) <= 1
    assert ("vat_amount" in found(document.xml())) is not is_right
    assert half_up(Fraction(amount * rate, 100)) != tax or is_right


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_at_all_are_a_crash(data: bytes) -> None:
    assert found(data)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_invoice_is_no_crash(data: st.DataObject) -> None:
    sound = Document().xml()
    place = data.draw(st.integers(0, len(sound) - 1))
    length = data.draw(st.integers(0, 40))
    patch = data.draw(st.binary(max_size=12))
    as_json(check_file("x", sound[:place] + patch + sound[place + length :]))
