"""Reading UBL 2.1 invoices (Peppol BIS Billing 3.0). Pure: bytes in, values out.

Nothing here judges an invoice; see `checks` for that. What cannot be read is a finding
too, never an exception: a folder of invoices comes from outside, and anything may lie
in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from console.demo.invoices import (
    EXPONENTS,
    AllowanceCharge,
    Code,
    Finding,
    Invoice,
    Line,
    Reading,
    Totals,
    VatSubtotal,
)

MAX_INVOICE_BYTES = 5 * 1024 * 1024
MAX_LINES = 5_000
MAX_TEXT_LENGTH = 140

INVOICE = "{urn:oasis:names:specification:ubl:schema:xsd:Invoice-2}Invoice"
CREDIT_NOTE = "{urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2}CreditNote"
NAMESPACES = {
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
# xs:decimal, with as many digits as any honest invoice needs.
DECIMAL = re.compile(r"[+-]?(\d{1,15}(\.\d{0,10})?|\.\d{1,10})", re.ASCII)


def read_invoice(data: bytes) -> Reading:
    """Read one document; never raises for what the bytes may hold."""
    root = _root(data)
    if isinstance(root, Finding):
        return Reading(invoice=None, findings=(root,))
    reader = _Reader(root)
    invoice = reader.invoice()
    return Reading(invoice=invoice, findings=tuple(reader.findings))


def _root(data: bytes) -> Element | Finding:
    if len(data) > MAX_INVOICE_BYTES:
        limit = MAX_INVOICE_BYTES // (1024 * 1024)
        return _finding(Code.TOO_LARGE, f"The file is larger than {limit} MiB.")
    try:
        # Neither a document type nor entities have any use in an invoice.
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        text = "The file declares a document type or entities, which an invoice has no use for."
        return _finding(Code.UNSAFE_XML, text)
    except (ParseError, ValueError, LookupError) as error:
        return _finding(Code.NOT_XML, f"The file is not well-formed XML: {error}.")
    return _no_invoice(root) or root


def _no_invoice(root: Element) -> Finding | None:
    if root.tag == CREDIT_NOTE:
        text = "The document is a credit note: it asks for nothing to be paid."
        return _finding(Code.WRONG_DOCUMENT, text)
    if root.tag != INVOICE:
        name = root.tag.rpartition("}")[2][:50]
        return _finding(Code.WRONG_DOCUMENT, f"The document is a {name!r}, not a UBL 2.1 invoice.")
    if len(root.findall("cac:InvoiceLine", NAMESPACES)) > MAX_LINES:
        return _finding(Code.TOO_MANY_LINES, f"The invoice has more than {MAX_LINES:,} lines.")
    return None


def _finding(code: Code, message: str, rule: str = "") -> Finding:
    return Finding(code=code, message=message, rule=rule)


class _Reader:
    """Takes values out of one element tree, and notes whatever cannot be taken."""

    def __init__(self, root: Element) -> None:
        self.root = root
        self.findings: list[Finding] = []
        self.currency = ""

    def invoice(self) -> Invoice:
        root = self.root
        self.currency = self.text(root, "cbc:DocumentCurrencyCode", must="document currency")
        number = self.text(root, "cbc:ID", must="invoice number")
        supplier, supplier_ids = self.supplier()
        payee = self.text(root, "cac:PayeeParty/cac:PartyName/cbc:Name")
        means = root.findall("cac:PaymentMeans", NAMESPACES)
        return Invoice(
            number=number,
            type_code=self.text(root, "cbc:InvoiceTypeCode"),
            supplier=supplier,
            supplier_ids=supplier_ids,
            creditor=payee or supplier,
            means=tuple(self.text(m, "cbc:PaymentMeansCode") for m in means),
            accounts=tuple(
                account
                for m in means
                if (account := self.text(m, "cac:PayeeFinancialAccount/cbc:ID"))
            ),
            currency=self.currency,
            due_on=self.date(root, "cbc:DueDate"),
            totals=self.totals(),
            vat=tuple(self.vat_subtotals()),
            adjustments=tuple(self.adjustments(root)),
            lines=tuple(self.lines()),
        )

    def supplier(self) -> tuple[str, frozenset[str]]:
        """The supplier's name, and everything by which the same supplier may be known."""
        party = self.one(self.root, "cac:AccountingSupplierParty/cac:Party")
        if party is None:
            self.note(Code.MISSING, "The invoice names no supplier.", "BR-06")
            return "", frozenset()
        legal = self.text(party, "cac:PartyLegalEntity/cbc:RegistrationName")
        trading = self.text(party, "cac:PartyName/cbc:Name")
        if not legal and not trading:
            self.note(Code.MISSING, "The invoice names no supplier.", "BR-06")
        return legal or trading, frozenset(_identities(party))

    def totals(self) -> Totals:
        total = self.one(self.root, "cac:LegalMonetaryTotal")
        if total is None:
            total = Element("absent")
        return Totals(
            lines=self.amount(total, "cbc:LineExtensionAmount", must="sum of its lines"),
            without_vat=self.amount(total, "cbc:TaxExclusiveAmount", must="total without VAT"),
            with_vat=self.amount(total, "cbc:TaxInclusiveAmount", must="total with VAT"),
            payable=self.amount(total, "cbc:PayableAmount", must="amount to pay"),
            allowances=self.amount(total, "cbc:AllowanceTotalAmount") or Decimal(0),
            charges=self.amount(total, "cbc:ChargeTotalAmount") or Decimal(0),
            prepaid=self.amount(total, "cbc:PrepaidAmount") or Decimal(0),
            rounding=self.amount(total, "cbc:PayableRoundingAmount") or Decimal(0),
            vat=self.vat_total(),
        )

    def vat_totals(self) -> list[Element]:
        """The VAT totals in the document's currency.

        One more may repeat the sum in the currency of the supplier's tax accounts (BT-111).
        """
        tax_currency = _cleaned(self.root.findtext("cbc:TaxCurrencyCode", "", NAMESPACES))
        return [
            total
            for total in self.root.findall("cac:TaxTotal", NAMESPACES)
            if not tax_currency
            or tax_currency == self.currency
            or (amount := total.find("cbc:TaxAmount", NAMESPACES)) is None
            or amount.get("currencyID") != tax_currency
        ]

    def vat_total(self) -> Decimal:
        totals = self.vat_totals()
        if len(totals) > 1:
            self.note(Code.REPEATED, "The invoice has more than one VAT total.", "BR-CO-14")
        return self.amount(totals[0], "cbc:TaxAmount") or Decimal(0) if totals else Decimal(0)

    def vat_subtotals(self) -> list[VatSubtotal]:
        return [
            VatSubtotal(
                category=self.category(subtotal, "cac:TaxCategory"),
                taxable=self.amount(subtotal, "cbc:TaxableAmount", must="amount that VAT is on"),
                tax=self.amount(subtotal, "cbc:TaxAmount", must="VAT of a category"),
            )
            for total in self.vat_totals()
            for subtotal in total.findall("cac:TaxSubtotal", NAMESPACES)
        ]

    def adjustments(self, node: Element) -> list[AllowanceCharge]:
        return [
            AllowanceCharge(
                is_charge=self.is_charge(item),
                amount=self.amount(item, "cbc:Amount", must="amount of an allowance or charge")
                or Decimal(0),
                percent=self.number(item, "cbc:MultiplierFactorNumeric"),
                base=self.amount(item, "cbc:BaseAmount"),
                category=self.category(item, "cac:TaxCategory"),
            )
            for item in node.findall("cac:AllowanceCharge", NAMESPACES)
        ]

    def is_charge(self, item: Element) -> bool:
        indicator = self.text(item, "cbc:ChargeIndicator")
        if indicator not in ("true", "false", "1", "0"):
            text = "An allowance or charge does not say which of the two it is."
            self.note(Code.MISSING, text, "PEPPOL-EN16931-R043")
        return indicator in ("true", "1")

    def lines(self) -> list[Line]:
        return [self.line(node) for node in self.root.findall("cac:InvoiceLine", NAMESPACES)]

    def line(self, node: Element) -> Line:
        id = self.text(node, "cbc:ID") or "?"
        price = self.one(node, "cac:Price")
        if price is None:
            price = Element("absent")
        base_quantity = self.number(price, "cbc:BaseQuantity")
        return Line(
            id=id,
            quantity=self.number(node, "cbc:InvoicedQuantity", must=f"quantity in line {id}"),
            amount=self.amount(node, "cbc:LineExtensionAmount", must=f"amount in line {id}"),
            price=self.price(price, "cbc:PriceAmount", must=f"price in line {id}"),
            price_base_quantity=Decimal(1) if base_quantity is None else base_quantity,
            gross_price=self.price(price, "cac:AllowanceCharge/cbc:BaseAmount"),
            price_allowance=self.price(price, "cac:AllowanceCharge/cbc:Amount") or Decimal(0),
            category=self.category(node, "cac:Item/cac:ClassifiedTaxCategory"),
            adjustments=tuple(self.adjustments(node)),
        )

    def category(self, node: Element, path: str) -> tuple[str, Decimal | None]:
        """The VAT category and its rate; two rates are the same if their values are."""
        return self.text(node, f"{path}/cbc:ID"), self.number(node, f"{path}/cbc:Percent")

    def amount(self, node: Element, path: str, *, must: str = "") -> Decimal | None:
        """An amount of money, in the document's currency and in whole minor units."""
        amount = self.price(node, path, must=must)
        exponent = EXPONENTS.get(self.currency)
        if amount is not None and exponent is not None and amount % Decimal(10) ** -exponent:
            self.note(
                Code.AMOUNT_PRECISION,
                f"{_name(path)} is {amount}, finer than {self.currency} can be paid.",
                "BR-DEC",
            )
        return amount

    def price(self, node: Element, path: str, *, must: str = "") -> Decimal | None:
        """An amount in the document's currency that may be finer than its minor unit."""
        element = self.one(node, path)
        if element is not None and element.get("currencyID") != self.currency:
            found = _cleaned(element.get("currencyID"))[:10] or "no currency"
            self.note(
                Code.MIXED_CURRENCY,
                f"{_name(path)} is in {found}, but the invoice is in {self.currency or 'none'}.",
                "PEPPOL-EN16931-R051",
            )
        return self.number(node, path, must=must)

    def number(self, node: Element, path: str, *, must: str = "") -> Decimal | None:
        text = self.text(node, path, must=must)
        if not text:
            return None
        if not DECIMAL.fullmatch(text):
            self.note(Code.UNREADABLE_AMOUNT, f"{_name(path)} is not a number: {text[:40]!r}.")
            return None
        return Decimal(text)

    def date(self, node: Element, path: str) -> date | None:
        text = self.text(node, path)
        try:
            return date.fromisoformat(text[:10]) if text else None
        except ValueError:
            self.note(Code.UNREADABLE_DATE, f"{_name(path)} is not a date: {text[:40]!r}.")
            return None

    def text(self, node: Element, path: str, *, must: str = "") -> str:
        element = self.one(node, path)
        text = "" if element is None else _cleaned(element.text)
        if must and not text:
            self.note(Code.MISSING, f"The invoice does not give the {must}.")
        if len(text) > MAX_TEXT_LENGTH:
            limit = f"{_name(path)} is longer than {MAX_TEXT_LENGTH} characters."
            self.note(Code.TEXT_TOO_LONG, limit)
            return text[:MAX_TEXT_LENGTH]
        hidden = next((c for c in text if unicodedata.category(c).startswith("C")), None)
        if hidden is not None:
            seen = f"{_name(path)} contains the unseen character U+{ord(hidden):04X}."
            self.note(Code.HIDDEN_CHARACTERS, seen)
            return "".join(c for c in text if not unicodedata.category(c).startswith("C"))
        return text

    def one(self, node: Element, path: str) -> Element | None:
        """The only element at a path. Two could mean one thing to a person, another here."""
        found = node.findall(path, NAMESPACES)
        if len(found) > 1:
            self.note(Code.REPEATED, f"{_name(path)} stands there more than once.")
        return found[0] if found else None

    def note(self, code: Code, message: str, rule: str = "") -> None:
        finding = _finding(code, message, rule)
        if finding not in self.findings:
            self.findings.append(finding)


def _identities(party: Element) -> Iterator[str]:
    for scheme in party.findall("cac:PartyTaxScheme", NAMESPACES):
        # Other schemes hold words, such as "Foretaksregisteret", that many suppliers share.
        if _cleaned(scheme.findtext("cac:TaxScheme/cbc:ID", "", NAMESPACES)) == "VAT":
            yield from _identity("vat", scheme.findtext("cbc:CompanyID", "", NAMESPACES))
    for entity in party.findall("cac:PartyLegalEntity", NAMESPACES):
        yield from _identity("legal", entity.findtext("cbc:CompanyID", "", NAMESPACES))
        yield from _identity("name", entity.findtext("cbc:RegistrationName", "", NAMESPACES))


def _identity(kind: str, text: str) -> Iterator[str]:
    compact = "".join(_cleaned(text).casefold().split())
    if compact:
        yield f"{kind}:{compact}"


def _cleaned(text: str | None) -> str:
    """NFC, and white space collapsed, as XML Schema does it for tokens."""
    return unicodedata.normalize("NFC", " ".join((text or "").split()))


def _name(path: str) -> str:
    return path.rpartition(":")[2]
