"""The demo's agent: reads a folder of invoices, proposes payments, reports what became of them."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from console.demo.bank_client import BankClient
from console.demo.checks import as_json
from console.demo.folders import check_folder, find_folder
from console.demo.invoices import Code
from runs import Money, Retry, tool, workflow
from runs.errors import Denied, Refusal, StepError

SECRET = "bank/payments"
EMPTY = "The folder is empty: there is nothing to pay"


@tool(effect="safe")
def read_invoices(call: Any, *, folder: str) -> list[dict[str, Any]]:
    """The invoices of a folder, each with what is wrong with it."""
    return [as_json(entry) for entry in check_folder(find_folder(folder))]


@tool(effect="safe", secret=SECRET)
def already_paid(call: Any, *, invoices: list[dict[str, str]]) -> list[str]:
    """For each invoice (number, creditor, iban) the bank's payment of it, or "" for none."""
    with _bank(call) as bank:
        return [_earlier_payment(bank, call=call, **invoice) for invoice in invoices]


@tool(
    effect="keyed",
    money=Money(amount="amount_minor", currency="currency", payee="iban", payee_name="creditor"),
    secret=SECRET,
    retry=Retry(attempts=5),
)
def send_payment(
    call: Any, *, iban: str, amount_minor: int, currency: str, reference: str, creditor: str
) -> dict[str, str]:
    """Have the bank pay an invoice; gives the bank's own reference and the time."""
    order = {
        "iban": iban,
        "amount_minor": amount_minor,
        "currency": currency,
        "reference": reference,
        "creditor": creditor,
    }
    with _bank(call) as bank:
        # Days may have passed at the gate, and another run may have paid in the meantime.
        earlier = _earlier_payment(bank, call=call, number=reference, creditor=creditor, iban=iban)
        if earlier:
            raise Refusal(f"The bank has paid {reference} to {creditor} already: {earlier}.")
        receipt = bank.pay(key=call.idempotency_key, order=order)
    return {"bank_reference": str(receipt["id"]), "executed_at": str(receipt["executed_at"])}


@workflow("pay_invoices", version=1, agent="bookkeeper")
def pay_invoices(run: Any, *, folder: str) -> dict[str, Any]:
    """Pay the sound invoices of a folder, each after its gate, and report on all of them."""
    invoices = run.call(read_invoices, folder=folder)
    invoices = _with_earlier_payments(run, invoices)
    sound = [invoice for invoice in invoices if not invoice["findings"]]
    run.progress(0, len(sound), _found(len(sound), len(invoices)))
    calls = [run.prepare(send_payment, **_payment(invoice)) for invoice in sound]
    outcomes = run.gather(calls, return_exceptions=True)
    by_file = {i["file"]: _outcome(o) for i, o in zip(sound, outcomes, strict=True)}
    report = _report(folder, invoices, by_file)
    run.progress(len(sound), len(sound), _became(report))
    return report


def _found(sound: int, all: int) -> str:
    return f"{sound} of {all} invoices are sound" if all else EMPTY


def _became(report: dict[str, Any]) -> str:
    """What became of the payments, in counts."""
    if not report["invoices"]:
        return EMPTY
    return ", ".join(f"{report[outcome]} {outcome}" for outcome in ("paid", "denied", "failed"))


def _with_earlier_payments(run: Any, invoices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same invoices, with a finding on each sound one that the bank has paid before."""
    sound = [invoice for invoice in invoices if not invoice["findings"]]
    if not sound:
        return invoices
    asked = [{name: i[name] for name in ("number", "creditor", "iban")} for i in sound]
    payments = run.call(already_paid, invoices=asked)
    by_file = {i["file"]: payment for i, payment in zip(sound, payments, strict=True)}
    return [_with_finding(invoice, by_file.get(invoice["file"], "")) for invoice in invoices]


def _with_finding(invoice: dict[str, Any], payment: str) -> dict[str, Any]:
    if not payment:
        return invoice
    message = f"The bank has paid {invoice['number']} to {invoice['creditor']} already: {payment}."
    finding = {"code": str(Code.ALREADY_PAID), "message": message, "rule": ""}
    return {**invoice, "findings": [*invoice["findings"], finding]}


def _payment(invoice: dict[str, Any]) -> dict[str, Any]:
    # The reference is the invoice's number: by it a later run sees that it was paid.
    return {
        "iban": invoice["iban"],
        "amount_minor": invoice["amount_minor"],
        "currency": invoice["currency"],
        "reference": invoice["number"],
        "creditor": invoice["creditor"],
    }


def _outcome(outcome: dict[str, str] | StepError) -> dict[str, str]:
    if isinstance(outcome, Denied):
        return {"outcome": "denied", "reason": str(outcome)}
    if isinstance(outcome, StepError):
        return {"outcome": "failed", "reason": str(outcome)}
    return {"outcome": "paid", **outcome}


def _report(
    folder: str, invoices: list[dict[str, Any]], by_file: dict[str, dict[str, str]]
) -> dict[str, Any]:
    unsound = {"outcome": "unsound"}
    entries = [invoice | by_file.get(invoice["file"], unsound) for invoice in invoices]
    counts = {
        outcome: sum(entry["outcome"] == outcome for entry in entries)
        for outcome in ("paid", "denied", "failed", "unsound")
    }
    return {"folder": folder, **counts, "invoices": entries}


def _bank(call: Any) -> BankClient:
    return BankClient(url=settings.PLACET_DEMO_BANK_URL, api_key=call.secret["api_key"])


def _earlier_payment(bank: BankClient, *, call: Any, number: str, creditor: str, iban: str) -> str:
    """The bank's payment of an invoice under another key than this step's own, or ""."""
    for payment in bank.find_payments(reference=number):
        is_same_payee = (
            payment["iban"] == iban or payment["creditor"].casefold() == creditor.casefold()
        )
        if is_same_payee and payment["key"] != call.idempotency_key:
            return str(payment["id"])
    return ""
