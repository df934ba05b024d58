"""Whether an invoice may be proposed for payment, and what is wrong where it may not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from stdnum import iban as ibans
from stdnum.exceptions import InvalidChecksum, ValidationError

from console.demo.invoices import EXPONENTS, Code, Finding, Invoice
from console.demo.reading import read_invoice
from console.demo.sums import check_sums, shown

MAX_FINDINGS = 10
MAX_AMOUNT_MINOR = 100_000_000_000
# UNTDID 1001: what asks for money by itself. A corrected invoice (384) replaces another,
# and a pro forma invoice (325) asks for nothing; both are for a person to look at.
PAYABLE_TYPES = frozenset(
    {
        "71",
        "80",
        "82",
        "84",
        "102",
        "218",
        "219",
        "326",
        "331",
        "380",
        "382",
        "383",
        "386",
        "388",
        "389",
        "393",
        "395",
        "575",
        "623",
        "780",
        "817",
        "870",
        "875",
        "876",
        "877",
    }
)
# UNTDID 4461: credit transfers. Cards, cash and direct debits are not ours to send.
TRANSFERS = frozenset({"30", "31", "42", "57", "58"})
# While one of these stands, the sums would only repeat it in other words.
UNSUMMABLE = frozenset({Code.MISSING, Code.UNREADABLE_AMOUNT, Code.REPEATED, Code.MIXED_CURRENCY})


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One file of the folder: the invoice in it, if there is one, and all findings on it."""

    file: str
    invoice: Invoice | None
    iban: str
    amount_minor: int
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        return self.invoice is not None and not self.findings


def check_file(file: str, data: bytes) -> Checked:
    """Read and check one document by itself."""
    reading = read_invoice(data)
    invoice = reading.invoice
    if invoice is None:
        return Checked(file=file, invoice=None, iban="", amount_minor=0, findings=reading.findings)
    iban, account_findings = _account(invoice)
    amount_minor, amount_findings = _amount(invoice)
    findings = [*reading.findings, *_document(invoice), *amount_findings, *account_findings]
    if not UNSUMMABLE & {f.code for f in reading.findings} and invoice.currency in EXPONENTS:
        findings += check_sums(invoice)
    return Checked(
        file=file, invoice=invoice, iban=iban, amount_minor=amount_minor, findings=tuple(findings)
    )


def unreadable(file: str, message: str, code: Code = Code.UNREADABLE_FILE) -> Checked:
    """A file that was not even opened."""
    finding = Finding(code=code, message=message)
    return Checked(file=file, invoice=None, iban="", amount_minor=0, findings=(finding,))


def check_duplicates(checked: Sequence[Checked]) -> list[Checked]:
    """The same files, with findings where one invoice lies in the folder more than once.

    Of equal ones the first stays payable. Where two with the same supplier and number ask
    for different things, nobody can tell which is right, so none of them is.
    """
    return [
        replace(entry, findings=(*entry.findings, *_duplicates(position, checked)))
        for position, entry in enumerate(checked)
    ]


def _duplicates(position: int, checked: Sequence[Checked]) -> Iterator[Finding]:
    entry = checked[position]
    if entry.invoice is None:
        return
    same = [
        (other_position, other)
        for other_position, other in enumerate(checked)
        if other is not entry and _is_same(entry.invoice, other.invoice)
    ]
    number = entry.invoice.number
    unequal = [other.file for _, other in same if _asks_for(other) != _asks_for(entry)]
    if unequal:
        message = (
            f"Number {number} from the same supplier also lies there as {_listed(unequal)}, "
            "with another amount or another account."
        )
        yield Finding(code=Code.CONFLICTING, message=message)
    earlier = [o.file for p, o in same if p < position and _asks_for(o) == _asks_for(entry)]
    if earlier:
        message = f"The same invoice {number} already lies there as {_listed(earlier[:1])}."
        yield Finding(code=Code.DUPLICATE, message=message)


def _is_same(one: Invoice, other: Invoice | None) -> bool:
    return (
        other is not None
        and bool(one.number)
        and one.number.casefold() == other.number.casefold()
        and bool(one.supplier_ids & other.supplier_ids)
    )


def _asks_for(entry: Checked) -> tuple[Decimal | None, str, tuple[str, ...]]:
    assert entry.invoice is not None
    accounts = tuple(ibans.compact(account) for account in entry.invoice.accounts)
    return entry.invoice.totals.payable, entry.invoice.currency, accounts


def _listed(files: Sequence[str]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(files[:3]) + more


def _document(invoice: Invoice) -> Iterator[Finding]:
    if invoice.currency and invoice.currency not in EXPONENTS:
        message = f"{invoice.currency!r} is not a currency of ISO 4217 that can be paid in."
        yield Finding(code=Code.UNKNOWN_CURRENCY, message=message, rule="BR-CL-04")
    if invoice.type_code not in PAYABLE_TYPES:
        code = invoice.type_code or "nothing"
        message = f"The invoice's type code is {code}, which is not one to be paid unseen."
        yield Finding(code=Code.WRONG_TYPE, message=message, rule="BR-CL-01")
    if not invoice.lines:
        yield Finding(code=Code.NO_LINES, message="The invoice has no line.", rule="BR-16")


def _amount(invoice: Invoice) -> tuple[int, list[Finding]]:
    """The amount to pay in minor units; 0 with a finding where there is none."""
    payable, exponent = invoice.totals.payable, EXPONENTS.get(invoice.currency)
    if payable is None or exponent is None:
        return 0, []
    if payable <= 0:
        message = f"The amount to pay is {shown(invoice, payable)}: there is nothing to pay."
        return 0, [Finding(code=Code.NOTHING_TO_PAY, message=message)]
    amount_minor = int(payable.scaleb(exponent))
    if amount_minor > MAX_AMOUNT_MINOR:
        message = f"{shown(invoice, payable)} is more than the demo pays at once."
        return 0, [Finding(code=Code.AMOUNT_TOO_LARGE, message=message)]
    return amount_minor, []


def _account(invoice: Invoice) -> tuple[str, list[Finding]]:
    """The first valid IBAN among the payee's accounts; "" with a finding where there is none."""
    means = [code for code in invoice.means if code not in TRANSFERS]
    if invoice.means and len(means) == len(invoice.means):
        message = f"The invoice is to be paid by means {means[0] or 'unknown'}, not by transfer."
        return "", [Finding(code=Code.NOT_BY_TRANSFER, message=message, rule="BR-CL-16")]
    if not invoice.accounts:
        message = "The invoice names no account to pay to."
        return "", [Finding(code=Code.MISSING_ACCOUNT, message=message, rule="BR-61")]
    for account in invoice.accounts:
        if not _fault(account):
            return ibans.compact(account), []
    account = invoice.accounts[0]
    message = f"The account {account!r} is not a valid IBAN: {_fault(account)}."
    return "", [Finding(code=Code.INVALID_ACCOUNT, message=message)]


def _fault(account: str) -> str:
    """What is wrong with an account as an IBAN by ISO 13616; "" where nothing is."""
    if not re.match(r"[A-Z]{2}[0-9]{2}", ibans.compact(account)):
        return "it does not begin with a country and two check digits"
    try:
        # The lists of banks in single countries change too often to be refused from.
        ibans.validate(account, check_country=False)
    except InvalidChecksum:
        return "its check digits do not match"
    except ValidationError:
        return "it has not the form of an account in any country"
    return ""


def as_json(entry: Checked) -> dict[str, Any]:
    """A checked file as a step's result: what a payment needs, and what is wrong."""
    invoice = entry.invoice
    extra = len(entry.findings) - MAX_FINDINGS
    return {
        "file": entry.file,
        "number": invoice.number if invoice else "",
        "supplier": invoice.supplier if invoice else "",
        "creditor": invoice.creditor if invoice else "",
        "iban": entry.iban,
        "amount_minor": entry.amount_minor,
        "currency": invoice.currency if invoice else "",
        "due_on": invoice.due_on.isoformat() if invoice and invoice.due_on else "",
        "lines": len(invoice.lines) if invoice else 0,
        "findings": [
            {"code": str(f.code), "message": f.message, "rule": f.rule}
            for f in entry.findings[:MAX_FINDINGS]
        ],
        "further_findings": max(extra, 0),
    }
