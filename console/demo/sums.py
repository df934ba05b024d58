"""Whether an invoice adds up: the arithmetic rules of EN 16931-1 and of Peppol BIS 3.0.

Sums are exact: they add amounts that are already rounded. Where something is multiplied
and rounded, the rule says how far the result may lie off:

* a line, and an allowance by percentage: two minor units (Peppol R120 and R040);
* VAT and the amount it is on: half a minor unit for each amount that went into it, and
  half for the result, which is all that rounding line by line can bring about. (The
  published validation lets a whole euro pass; a payment deserves a closer look.)
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal, localcontext

from console.demo.invoices import (
    EXPONENTS,
    AllowanceCharge,
    Code,
    Finding,
    Invoice,
    Line,
    VatSubtotal,
)

SLACK_MINOR = 2
# In these VAT categories every rate has a subtotal of its own; in all others the category has.
BY_RATE = frozenset({"S", "L", "M", "B"})
# The rules on a category's base are named after the category, but for these.
RULE_NAMES = {"K": "IC", "L": "AF", "M": "AG"}


def check_sums(invoice: Invoice) -> list[Finding]:
    """The findings on every sum of an invoice whose amounts could all be read."""
    with localcontext(Context(prec=60)):
        return [
            *(f for line in invoice.lines for f in _line(invoice, line)),
            *(f for item in invoice.adjustments for f in _by_percent(invoice, item, "")),
            *_totals(invoice),
            *_vat(invoice),
        ]


def shown(invoice: Invoice, amount: Decimal) -> str:
    """An amount for a person: `1,656.25 EUR`."""
    exponent = EXPONENTS.get(invoice.currency, 2)
    places = max(exponent, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:,.{places}f} {invoice.currency}"


def _minor(invoice: Invoice) -> Decimal:
    return Decimal(10) ** -EXPONENTS.get(invoice.currency, 2)


def _line(invoice: Invoice, line: Line) -> Iterator[Finding]:
    yield from (f for a in line.adjustments for f in _by_percent(invoice, a, f" in line {line.id}"))
    if line.gross_price is not None and line.price != line.gross_price - line.price_allowance:
        yield Finding(
            code=Code.PRICE,
            message=f"Line {line.id}: the price is not the gross price less its allowance.",
            rule="PEPPOL-EN16931-R046",
        )
    if line.quantity is None or line.price is None or line.amount is None:
        return
    if line.price_base_quantity <= 0:
        yield Finding(
            code=Code.LINE_AMOUNT,
            message=f"Line {line.id}: the price is for a quantity of {line.price_base_quantity}.",
            rule="PEPPOL-EN16931-R121",
        )
        return
    expected = line.quantity * line.price / line.price_base_quantity + _net(line.adjustments)
    if abs(expected - line.amount) > SLACK_MINOR * _minor(invoice):
        expected = expected.quantize(_minor(invoice))
        yield Finding(
            code=Code.LINE_AMOUNT,
            message=f"Line {line.id}: quantity and price come to {shown(invoice, expected)}, "
            f"but the line says {shown(invoice, line.amount)}.",
            rule="PEPPOL-EN16931-R120",
        )


def _by_percent(invoice: Invoice, item: AllowanceCharge, where: str) -> Iterator[Finding]:
    if item.percent is None or item.base is None:
        return
    expected = item.base * item.percent / 100
    if abs(expected - item.amount) > SLACK_MINOR * _minor(invoice):
        kind = "A charge" if item.is_charge else "An allowance"
        yield Finding(
            code=Code.ALLOWANCE_AMOUNT,
            message=f"{kind}{where} is {shown(invoice, item.amount)}, but {item.percent}% of "
            f"{shown(invoice, item.base)} is {shown(invoice, expected)}.",
            rule="PEPPOL-EN16931-R040",
        )


def _net(items: tuple[AllowanceCharge, ...]) -> Decimal:
    return sum((i.amount if i.is_charge else -i.amount for i in items), Decimal(0))


def _totals(invoice: Invoice) -> Iterator[Finding]:
    """BR-CO-10 to BR-CO-16, each by itself, so that one wrong figure is named once or twice
    and not hidden by the next."""
    total, items = invoice.totals, invoice.adjustments
    zero = Decimal(0)
    lines = sum((line.amount or zero for line in invoice.lines), zero)
    allowances = sum((i.amount for i in items if not i.is_charge), zero)
    charges = sum((i.amount for i in items if i.is_charge), zero)
    vat = sum((s.tax or zero for s in invoice.vat), zero)
    rules: list[tuple[Code, str, str, Decimal | None, Decimal | None]] = [
        (Code.LINES_TOTAL, "BR-CO-10", "The sum of the lines", lines, total.lines),
        (
            Code.ALLOWANCES_TOTAL,
            "BR-CO-11",
            "The sum of the allowances",
            allowances,
            total.allowances,
        ),
        (Code.CHARGES_TOTAL, "BR-CO-12", "The sum of the charges", charges, total.charges),
        (
            Code.TOTAL_WITHOUT_VAT,
            "BR-CO-13",
            "The total without VAT",
            _plus(total.lines, total.charges - total.allowances),
            total.without_vat,
        ),
        (Code.VAT_TOTAL, "BR-CO-14", "The sum of the VAT", vat, total.vat),
        (
            Code.TOTAL_WITH_VAT,
            "BR-CO-15",
            "The total with VAT",
            _plus(total.without_vat, total.vat),
            total.with_vat,
        ),
        (
            Code.PAYABLE,
            "BR-CO-16",
            "The amount to pay",
            _plus(total.with_vat, total.rounding - total.prepaid),
            total.payable,
        ),
    ]
    for code, rule, what, expected, stated in rules:
        if expected is not None and stated is not None and expected != stated:
            message = (
                f"{what} comes to {shown(invoice, expected)}, "
                f"but the invoice says {shown(invoice, stated)}."
            )
            yield Finding(code=code, message=message, rule=rule)


def _plus(base: Decimal | None, more: Decimal) -> Decimal | None:
    return None if base is None else base + more


def _vat(invoice: Invoice) -> Iterator[Finding]:
    expected = _vat_bases(invoice)
    for subtotal in invoice.vat:
        base, parts = expected.pop(_group(subtotal.category), (Decimal(0), 0))
        yield from _vat_subtotal(invoice, subtotal, base=base, parts=parts)
    for (category, _), (base, _) in expected.items():
        yield Finding(
            code=Code.VAT_BASE,
            message=f"{shown(invoice, base)} of VAT category {category or 'unknown'} "
            "has no VAT subtotal.",
            rule="BR-CO-18",
        )


def _vat_subtotal(
    invoice: Invoice, subtotal: VatSubtotal, *, base: Decimal, parts: int
) -> Iterator[Finding]:
    if subtotal.taxable is None or subtotal.tax is None:
        return
    category, rate = subtotal.category
    tolerance = (parts + 1) * _minor(invoice) / 2
    if abs(subtotal.taxable - base) > tolerance:
        yield Finding(
            code=Code.VAT_BASE,
            message=f"Category {category} at {_percent(rate)} is on {shown(invoice, base)}, "
            f"but the invoice says {shown(invoice, subtotal.taxable)}.",
            rule=f"BR-{RULE_NAMES.get(category, category)}-08",
        )
    tax = subtotal.taxable * (rate or Decimal(0)) / 100
    if abs(subtotal.tax - tax) > tolerance:
        yield Finding(
            code=Code.VAT_AMOUNT,
            message=f"{_percent(rate)} VAT on {shown(invoice, subtotal.taxable)} is "
            f"{shown(invoice, tax.quantize(_minor(invoice)))}, "
            f"but the invoice says {shown(invoice, subtotal.tax)}.",
            rule="BR-CO-17",
        )


def _vat_bases(invoice: Invoice) -> dict[tuple[str, Decimal | None], tuple[Decimal, int]]:
    """What each VAT category is on, from the lines and the document's allowances and
    charges, with the number of amounts that went into it."""
    amounts = [(line.category, line.amount or Decimal(0)) for line in invoice.lines]
    amounts += [(i.category, _net((i,))) for i in invoice.adjustments]
    bases: dict[tuple[str, Decimal | None], tuple[Decimal, int]] = {}
    for category, amount in amounts:
        base, parts = bases.get(_group(category), (Decimal(0), 0))
        bases[_group(category)] = base + amount, parts + 1
    return bases


def _group(category: tuple[str, Decimal | None]) -> tuple[str, Decimal | None]:
    name, rate = category
    return name, rate if name in BY_RATE else None


def _percent(rate: Decimal | None) -> str:
    return f"{(rate or Decimal(0)).normalize():f}%"
