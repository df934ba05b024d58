"""Invoices built in the test, from a sound one, and recomputed without the code under test."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from xml.sax.saxutils import escape

UBL = "urn:oasis:names:specification:ubl:schema:xsd"
IBAN = "DE89370400440532013000"


@dataclass(kw_only=True)
class Item:
    """A line, or with `quantity` left at 1 an allowance or charge; money in cents."""

    amount: int
    rate: int = 19
    category: str = "S"
    quantity: str = "1"
    price: str = ""
    base_quantity: str = ""


@dataclass(kw_only=True)
class Document:
    """An invoice whose sums are filled in truthfully unless `stated` says otherwise."""

    lines: list[Item] = field(default_factory=lambda: [Item(amount=100_00)])
    allowances: list[Item] = field(default_factory=list)
    charges: list[Item] = field(default_factory=list)
    prepaid: int = 0
    rounding: int = 0
    number: str = "INV-1"
    supplier: str = "Fernhill Gartenbau GmbH"
    vat_id: str = "DE129273398"
    account: str = IBAN
    currency: str = "EUR"
    type_code: str = "380"
    means: str = "30"
    due: str = "2026-05-17"
    root: str = "Invoice"
    stated: dict[str, str] = field(default_factory=dict)
    vat_stated: dict[tuple[str, int], str] = field(default_factory=dict)
    extra: str = ""

    def sums(self) -> dict[str, int]:
        """The truth, in cents, computed with integers and fractions only."""
        lines = sum(i.amount for i in self.lines)
        allowances = sum(i.amount for i in self.allowances)
        charges = sum(i.amount for i in self.charges)
        vat = sum(tax for _, tax in self.vat().values())
        without = lines - allowances + charges
        return {
            "LineExtensionAmount": lines,
            "TaxExclusiveAmount": without,
            "TaxInclusiveAmount": without + vat,
            "AllowanceTotalAmount": allowances,
            "ChargeTotalAmount": charges,
            "PrepaidAmount": self.prepaid,
            "PayableRoundingAmount": self.rounding,
            "PayableAmount": without + vat - self.prepaid + self.rounding,
        }

    def vat(self) -> dict[tuple[str, int], tuple[int, int]]:
        """For each category and rate what VAT is on, and the VAT, rounded half up."""
        bases: dict[tuple[str, int], int] = {}
        signed = [(i, 1) for i in (*self.lines, *self.charges)]
        signed += [(i, -1) for i in self.allowances]
        for item, sign in signed:
            group = item.category, item.rate
            bases[group] = bases.get(group, 0) + sign * item.amount
        return {
            group: (base, half_up(Fraction(base * group[1], 100))) for group, base in bases.items()
        }

    def xml(self) -> bytes:
        return f"""<?xml version="1.0" encoding="UTF-8"?>
<{self.root} xmlns="{UBL}:{self.root}-2" xmlns:cac="{UBL}:CommonAggregateComponents-2"
 xmlns:cbc="{UBL}:CommonBasicComponents-2">
<cbc:ID>{escape(self.number)}</cbc:ID>
<cbc:DueDate>{self.due}</cbc:DueDate>
<cbc:InvoiceTypeCode>{self.type_code}</cbc:InvoiceTypeCode>
<cbc:DocumentCurrencyCode>{self.currency}</cbc:DocumentCurrencyCode>
<cac:AccountingSupplierParty><cac:Party>
<cac:PartyTaxScheme><cbc:CompanyID>{self.vat_id}</cbc:CompanyID>
<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:PartyTaxScheme>
<cac:PartyLegalEntity><cbc:RegistrationName>{escape(self.supplier)}</cbc:RegistrationName>
</cac:PartyLegalEntity></cac:Party></cac:AccountingSupplierParty>
<cac:PaymentMeans><cbc:PaymentMeansCode>{self.means}</cbc:PaymentMeansCode>{self._account()}
</cac:PaymentMeans>
{"".join(self._adjustment(i, "false") for i in self.allowances)}
{"".join(self._adjustment(i, "true") for i in self.charges)}
{self._vat_total()}
<cac:LegalMonetaryTotal>{self._totals()}</cac:LegalMonetaryTotal>
{"".join(self._line(n, i) for n, i in enumerate(self.lines, 1))}
{self.extra}</{self.root}>""".encode()

    def _account(self) -> str:
        if not self.account:
            return ""
        return (
            f"<cac:PayeeFinancialAccount><cbc:ID>{escape(self.account)}</cbc:ID>"
            "</cac:PayeeFinancialAccount>"
        )

    def _amount(self, name: str, text: str) -> str:
        return f'<cbc:{name} currencyID="{self.currency}">{text}</cbc:{name}>'

    def _totals(self) -> str:
        texts = {name: cents(value) for name, value in self.sums().items()} | self.stated
        return "".join(self._amount(n, t) for n, t in texts.items() if n != "TaxAmount" and t)

    def _vat_total(self) -> str:
        vat = self.vat()
        stated = self.stated.get("TaxAmount", cents(sum(tax for _, tax in vat.values())))
        subtotals = "".join(
            f"<cac:TaxSubtotal>{self._amount('TaxableAmount', cents(base))}"
            f"{self._amount('TaxAmount', self.vat_stated.get(group, cents(tax)))}"
            f"{_category('TaxCategory', *group)}</cac:TaxSubtotal>"
            for group, (base, tax) in vat.items()
        )
        return f"<cac:TaxTotal>{self._amount('TaxAmount', stated)}{subtotals}</cac:TaxTotal>"

    def _adjustment(self, item: Item, is_charge: str) -> str:
        return (
            f"<cac:AllowanceCharge><cbc:ChargeIndicator>{is_charge}</cbc:ChargeIndicator>"
            f"{self._amount('Amount', cents(item.amount))}"
            f"{_category('TaxCategory', item.category, item.rate)}</cac:AllowanceCharge>"
        )

    def _line(self, number: int, item: Item) -> str:
        base = f"<cbc:BaseQuantity>{item.base_quantity}</cbc:BaseQuantity>"
        return (
            f"<cac:InvoiceLine><cbc:ID>{number}</cbc:ID>"
            f"<cbc:InvoicedQuantity>{item.quantity}</cbc:InvoicedQuantity>"
            f"{self._amount('LineExtensionAmount', cents(item.amount))}"
            f"<cac:Item>{_category('ClassifiedTaxCategory', item.category, item.rate)}</cac:Item>"
            f"<cac:Price>{self._amount('PriceAmount', item.price or cents(item.amount))}"
            f"{base if item.base_quantity else ''}</cac:Price></cac:InvoiceLine>"
        )


def _category(tag: str, name: str, rate: int) -> str:
    return (
        f"<cac:{tag}><cbc:ID>{name}</cbc:ID><cbc:Percent>{rate}</cbc:Percent>"
        f"<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:{tag}>"
    )


def cents(value: int) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // 100}.{abs(value) % 100:02d}"


def half_up(value: Fraction) -> int:
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole
