"""What an invoice says, as values, and everything that can be wrong with one.

Amounts are `Decimal` in the currency's main unit, as the document gives them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

import iso4217

# Minor units by ISO 4217; XXX, the metals and the like have none and cannot be paid in.
EXPONENTS: dict[str, int] = {c.code: c.exponent for c in iso4217.Currency if c.exponent is not None}


class Code(StrEnum):
    """What can be wrong with an invoice; the values stay the same between releases."""

    UNREADABLE_FILE = "unreadable_file"
    TOO_LARGE = "too_large"
    NOT_XML = "not_xml"
    UNSAFE_XML = "unsafe_xml"
    WRONG_DOCUMENT = "wrong_document"
    WRONG_TYPE = "wrong_type"
    NO_LINES = "no_lines"
    TOO_MANY_LINES = "too_many_lines"
    REPEATED = "repeated"
    MISSING = "missing"
    TEXT_TOO_LONG = "text_too_long"
    HIDDEN_CHARACTERS = "hidden_characters"
    UNREADABLE_AMOUNT = "unreadable_amount"
    UNREADABLE_DATE = "unreadable_date"
    UNKNOWN_CURRENCY = "unknown_currency"
    MIXED_CURRENCY = "mixed_currency"
    AMOUNT_PRECISION = "amount_precision"
    LINE_AMOUNT = "line_amount"
    PRICE = "price"
    ALLOWANCE_AMOUNT = "allowance_amount"
    LINES_TOTAL = "lines_total"
    ALLOWANCES_TOTAL = "allowances_total"
    CHARGES_TOTAL = "charges_total"
    TOTAL_WITHOUT_VAT = "total_without_vat"
    VAT_BASE = "vat_base"
    VAT_AMOUNT = "vat_amount"
    VAT_TOTAL = "vat_total"
    TOTAL_WITH_VAT = "total_with_vat"
    PAYABLE = "payable"
    NOTHING_TO_PAY = "nothing_to_pay"
    AMOUNT_TOO_LARGE = "amount_too_large"
    NOT_BY_TRANSFER = "not_by_transfer"
    MISSING_ACCOUNT = "missing_account"
    INVALID_ACCOUNT = "invalid_account"
    DUPLICATE = "duplicate"
    CONFLICTING = "conflicting"
    ALREADY_PAID = "already_paid"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong; `rule` names the rule of EN 16931 or Peppol, if there is one."""

    code: Code
    message: str
    rule: str = ""


@dataclass(frozen=True, kw_only=True)
class AllowanceCharge:
    """Something taken off (an allowance) or added (a charge)."""

    is_charge: bool
    amount: Decimal
    percent: Decimal | None
    base: Decimal | None
    category: tuple[str, Decimal | None]


@dataclass(frozen=True, kw_only=True)
class Line:
    id: str
    quantity: Decimal | None
    amount: Decimal | None
    price: Decimal | None
    price_base_quantity: Decimal
    gross_price: Decimal | None
    price_allowance: Decimal
    category: tuple[str, Decimal | None]
    adjustments: tuple[AllowanceCharge, ...]


@dataclass(frozen=True, kw_only=True)
class VatSubtotal:
    category: tuple[str, Decimal | None]
    taxable: Decimal | None
    tax: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The document's own sums; `None` where a mandatory one is missing."""

    lines: Decimal | None
    without_vat: Decimal | None
    with_vat: Decimal | None
    payable: Decimal | None
    allowances: Decimal
    charges: Decimal
    prepaid: Decimal
    rounding: Decimal
    vat: Decimal


@dataclass(frozen=True, kw_only=True)
class Invoice:
    """What one document says, unjudged. `supplier_ids` are all names the supplier goes by."""

    number: str
    type_code: str
    supplier: str
    supplier_ids: frozenset[str]
    creditor: str
    means: tuple[str, ...]
    accounts: tuple[str, ...]
    currency: str
    due_on: date | None
    totals: Totals
    vat: tuple[VatSubtotal, ...]
    adjustments: tuple[AllowanceCharge, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What came of reading one document: an invoice, unless it was not one."""

    invoice: Invoice | None
    findings: tuple[Finding, ...] = field(default=())
