"""The table: a rule's `when` beside a request, whether it matches, and the words that say so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from approvals.rules.facts import Circumstances, Request, Summed
from tests.approvals.rules.asking import DAY, NOTHING_KNOWN, OTHER_ACCOUNT, calling, paying

YES, NO, NOBODY_KNOWS = True, False, None
HOURS = {"zone": "Europe/Berlin", "from": "08:00", "to": "18:00", "holidays": ["2026-12-25"]}


def summed(others: int, *, by: str = "payee", is_at_least: bool = False) -> Circumstances:
    one = Summed(amount_minor=others, is_at_least=is_at_least)
    return Circumstances(sums={(by, "EUR", DAY): one})


def a_sum(above_minor: int = 100_000, by: str = "payee") -> dict[str, Any]:
    return {"by": by, "currency": "EUR", "window_seconds": DAY, "above_minor": above_minor}


def at(*moment: int) -> Request:
    return paying(at=datetime(*moment, tzinfo=UTC))


IBAN_CHANGED = {"iban": True, "reference": False}
BAND = {"currency": "EUR", "above_minor": 10_000, "up_to_minor": 100_000}
Case = tuple[str, dict[str, Any], Request, Circumstances, bool | None, str]
"""Its name; the `when` of a rule; what is asked; what rows say; whether it matches; and why."""
CASES: list[Case] = [
    # What is asked for, by name
    ("no condition", {}, paying(), NOTHING_KNOWN, YES, "It has no conditions"),
    ("the tool", {"tool": "pay"}, paying(), NOTHING_KNOWN, YES, "The tool is pay."),
    (
        "one of several tools",
        {"tools": ["recall", "pay"]},
        paying(),
        NOTHING_KNOWN,
        YES,
        "The tool is pay.",
    ),
    (
        "another tool",
        {"tools": ["recall", "refund"]},
        paying(),
        NOTHING_KNOWN,
        NO,
        "The tool is pay, not recall or refund.",
    ),
    (
        "a tool by another case",
        {"tool": "Pay"},
        paying(),
        NOTHING_KNOWN,
        NO,
        "The tool is pay, not Pay.",
    ),
    (
        "a tool without money",
        {"tool": "pay"},
        calling(),
        NOTHING_KNOWN,
        YES,
        "The tool is pay.",
    ),
    (
        "the workflow",
        {"workflow": "paying"},
        paying(),
        NOTHING_KNOWN,
        YES,
        "The workflow is paying.",
    ),
    (
        "another workflow",
        {"workflow": "payroll"},
        paying(),
        NOTHING_KNOWN,
        NO,
        "The workflow is paying, not payroll.",
    ),
    ("the agent", {"agent": "clerk"}, paying(), NOTHING_KNOWN, YES, "The agent is clerk."),
    (
        "another agent",
        {"agent": "boss"},
        paying(),
        NOTHING_KNOWN,
        NO,
        "The agent is clerk, not boss.",
    ),
    (
        "an agent that nobody knows",
        {"agent": "clerk"},
        paying(agent=""),
        NOTHING_KNOWN,
        NOBODY_KNOWS,
        "The request does not say which agent it comes from: its workflow declares none.",
    ),
    (
        "the requester",
        {"requester": "alice"},
        paying(),
        NOTHING_KNOWN,
        YES,
        "The requester is alice.",
    ),
    (
        "another requester",
        {"requesters": ["bob", "carol"]},
        paying(),
        NOTHING_KNOWN,
        NO,
        "The requester is alice, not bob or carol.",
    ),
    ("the tenant", {"tenant": "acme"}, paying(), NOTHING_KNOWN, YES, "The tenant is acme."),
    (
        "another tenant",
        {"tenant": "other"},
        paying(),
        NOTHING_KNOWN,
        NO,
        "The tenant is acme, not other.",
    ),
    # Amounts
    (
        "an amount at the lower end of a band",
        {"amount": BAND},
        paying(10_000),
        NOTHING_KNOWN,
        NO,
        "100.00 EUR is not above 100.00 EUR and up to 1,000.00 EUR.",
    ),
    (
        "an amount just above the lower end",
        {"amount": BAND},
        paying(10_001),
        NOTHING_KNOWN,
        YES,
        "100.01 EUR is above 100.00 EUR and up to 1,000.00 EUR.",
    ),
    (
        "an amount at the upper end",
        {"amount": BAND},
        paying(100_000),
        NOTHING_KNOWN,
        YES,
        "1,000.00 EUR is above 100.00 EUR and up to 1,000.00 EUR.",
    ),
    (
        "an amount just above the upper end",
        {"amount": BAND},
        paying(100_001),
        NOTHING_KNOWN,
        NO,
        "1,000.01 EUR is not above 100.00 EUR and up to 1,000.00 EUR.",
    ),
    (
        "an amount in another currency",
        {"amount": BAND},
        paying(50_000, currency="USD"),
        NOTHING_KNOWN,
        NO,
        "The amount is in USD, not in EUR.",
    ),
    (
        "an amount in the second of two bands",
        {"amounts": [BAND, {"currency": "JPY", "up_to_minor": 60_000}]},
        paying(50_000, currency="JPY"),
        NOTHING_KNOWN,
        YES,
        "50,000 JPY is up to 60,000 JPY.",
    ),
    ("an amount of nothing", {"amount": BAND}, calling(), NOTHING_KNOWN, NO, "It moves no money."),
    # Sums
    (
        "a sum that this request brings to its limit",
        {"sum": a_sum()},
        paying(50_000),
        summed(50_000),
        NO,
        "The payments to this payee within 1 day are 1,000.00 EUR with this one, not above"
        " 1,000.00 EUR.",
    ),
    (
        "a sum that this request brings above its limit",
        {"sum": a_sum()},
        paying(50_001),
        summed(50_000),
        YES,
        "The payments to this payee within 1 day are 1,000.01 EUR with this one, above"
        " 1,000.00 EUR.",
    ),
    (
        "a sum of which not all was looked at, and that is reached",
        {"sum": a_sum()},
        paying(50_001),
        summed(50_000, is_at_least=True),
        YES,
        "are at least 1,000.01 EUR with this one, above",
    ),
    (
        "a sum of which not all was looked at, and that is not reached",
        {"sum": a_sum()},
        paying(50_000),
        summed(50_000, is_at_least=True),
        NOBODY_KNOWS,
        "are at least 1,000.00 EUR with this one; there are more than were looked at.",
    ),
    (
        "a sum that nobody looked up",
        {"sum": a_sum()},
        paying(),
        NOTHING_KNOWN,
        NOBODY_KNOWS,
        "Nobody has added up the payments to this payee within 1 day.",
    ),
    (
        "a sum in another currency",
        {"sum": a_sum(0)},
        paying(currency="USD"),
        summed(0),
        NOBODY_KNOWS,
        "are added up in EUR, and this one is in USD.",
    ),
    (
        "a sum in another currency that a band rules out",
        {"sum": a_sum(0), "amount": BAND},
        paying(currency="USD"),
        summed(0),
        NO,
        "The amount is in USD, not in EUR.",
    ),
    (
        "a sum of an agent that nobody knows",
        {"sum": a_sum(0, by="agent")},
        paying(agent=""),
        summed(0, by="agent"),
        NOBODY_KNOWS,
        "The request does not say which agent it comes from: its workflow declares none.",
    ),
    (
        "two sums of which one is reached",
        {"sums": [a_sum(0), a_sum(by="run")]},
        paying(),
        Circumstances(
            sums={
                ("payee", "EUR", DAY): Summed(amount_minor=0),
                ("run", "EUR", DAY): Summed(amount_minor=0),
            }
        ),
        NO,
        "The payments of this run and those around it within 1 day are 500.00 EUR with this one,"
        " not above",
    ),
    ("a sum of no money", {"sum": a_sum(0)}, calling(), summed(0), NO, "It moves no money."),
    # The payee
    (
        "an account that was never paid",
        {"payee": {"first_seen": True}},
        paying(),
        Circumstances(first_seen=True),
        YES,
        "No payment to this account was made before.",
    ),
    (
        "an account that was paid before",
        {"payee": {"first_seen": True}},
        paying(),
        Circumstances(first_seen=False),
        NO,
        "Payments to this account were made before.",
    ),
    (
        "a known account that is asked for",
        {"payee": {"first_seen": False}},
        paying(),
        Circumstances(first_seen=False),
        YES,
        "Payments to this account were made before.",
    ),
    (
        "an account that nobody looked up",
        {"payee": {"first_seen": False}},
        paying(),
        NOTHING_KNOWN,
        NOBODY_KNOWS,
        "Nobody has looked up earlier payments to this payee.",
    ),
    (
        "an account that has changed",
        {"payee": {"account_changed": True}},
        paying(),
        Circumstances(account_changed=True),
        YES,
        "The last payment to this name went to another account.",
    ),
    (
        "an account that is the same",
        {"payee": {"account_changed": True}},
        paying(),
        Circumstances(account_changed=False),
        NO,
        "No payment to this name went to another account last time.",
    ),
    (
        "an account without a name",
        {"payee": {"account_changed": True}},
        paying(payee_name=" "),
        Circumstances(account_changed=False),
        NOBODY_KNOWS,
        "The payment names nobody whose account could be compared.",
    ),
    (
        "an account in a list",
        {"payee": {"in": "known"}},
        paying(),
        NOTHING_KNOWN,
        YES,
        "is in the list known.",
    ),
    (
        "an account in neither of two lists",
        {"payee": {"in": ["barred", "known"]}},
        paying(payee="FR7630006000011234567890189"),
        NOTHING_KNOWN,
        NO,
        "The payee FR7630006000011234567890189 is not in the list barred or known.",
    ),
    (
        "an account outside of a list",
        {"payee": {"not_in": "known"}},
        paying(payee=OTHER_ACCOUNT),
        NOTHING_KNOWN,
        YES,
        "is not in the list known.",
    ),
    (
        "an account inside of a list that it must not be in",
        {"payee": {"not_in": "known"}},
        paying(),
        NOTHING_KNOWN,
        NO,
        "is in the list known.",
    ),
    (
        "an account that is listed with other spaces",
        {"payee": {"in": "barred"}},
        paying(payee="nl91 ABNA 0417 1643 00"),
        NOTHING_KNOWN,
        NOBODY_KNOWS,
        "in spaces or letter case alone, so nobody can tell whether it is the same.",
    ),
    (
        "an account of no payment",
        {"payee": {"not_in": "known"}},
        calling(),
        NOTHING_KNOWN,
        NO,
        "It moves no money.",
    ),
    # Free text
    (
        "free text",
        {"free_text": True},
        paying(free_text=("note", "reference")),
        NOTHING_KNOWN,
        YES,
        "The payment carries free text in note and reference.",
    ),
    (
        "no free text",
        {"free_text": True},
        paying(),
        NOTHING_KNOWN,
        NO,
        "The payment carries no free text.",
    ),
    (
        "no free text where none is asked for",
        {"free_text": False},
        paying(),
        NOTHING_KNOWN,
        YES,
        "The payment carries no free text.",
    ),
    (
        "free text in what is no payment",
        {"free_text": True},
        calling(free_text=("note",)),
        NOTHING_KNOWN,
        NO,
        "It moves no money.",
    ),
    # What changed
    (
        "an argument that has changed",
        {"changed": ["iban", "reference"]},
        paying(),
        Circumstances(compared_with="g1", changed=IBAN_CHANGED),
        YES,
        "iban differs from the last similar action.",
    ),
    (
        "an argument that has not changed",
        {"changed": ["reference"]},
        paying(),
        Circumstances(compared_with="g1", changed=IBAN_CHANGED),
        NO,
        "reference is as in the last similar action.",
    ),
    (
        "an argument that was left out",
        {"changed": ["note"]},
        paying(),
        Circumstances(compared_with="g1", changed={"note": True}),
        YES,
        "note differs from the last similar action.",
    ),
    (
        "an argument that there is not",
        {"changed": ["note"]},
        paying(),
        Circumstances(compared_with="g1", changed={"note": False}),
        NOBODY_KNOWS,
        "The request has no argument note.",
    ),
    (
        "an argument that nobody compared",
        {"changed": ["reference"]},
        paying(),
        Circumstances(compared_with="g1"),
        NOBODY_KNOWS,
        "Nobody has compared reference with the last action.",
    ),
    (
        "no similar action before",
        {"changed": ["iban"]},
        calling(),
        Circumstances(compared_with=""),
        YES,
        "There is no similar action before it, so everything counts as changed.",
    ),
    (
        "a similar action that nobody looked up",
        {"changed": ["iban"]},
        calling(),
        NOTHING_KNOWN,
        NOBODY_KNOWS,
        "Nobody has looked up the last similar action.",
    ),
    # Time; Berlin is an hour ahead of UTC in winter, two in summer
    (
        "the first moment of a working day",
        {"time": HOURS},
        at(2026, 11, 24, 7, 0),
        NOTHING_KNOWN,
        YES,
        "It is Tue 2026-11-24 08:00 in Europe/Berlin: within the times of the rule.",
    ),
    (
        "a moment before the working day",
        {"time": HOURS},
        at(2026, 11, 24, 6, 59),
        NOTHING_KNOWN,
        NO,
        "It is Tue 2026-11-24 07:59 in Europe/Berlin: outside the times of the rule.",
    ),
    (
        "the end of a working day",
        {"time": HOURS},
        at(2026, 11, 24, 17, 0),
        NOTHING_KNOWN,
        NO,
        "It is Tue 2026-11-24 18:00 in Europe/Berlin: outside the times of the rule.",
    ),
    (
        "the same moment in summer time",
        {"time": HOURS},
        at(2026, 7, 21, 6, 30),
        NOTHING_KNOWN,
        YES,
        "It is Tue 2026-07-21 08:30 in Europe/Berlin: within",
    ),
    (
        "a Sunday",
        {"time": HOURS},
        at(2026, 11, 22, 10, 0),
        NOTHING_KNOWN,
        NO,
        "It is Sun 2026-11-22 11:00 in Europe/Berlin: a day outside the times of the rule.",
    ),
    (
        "a holiday",
        {"time": HOURS},
        at(2026, 12, 25, 10, 0),
        NOTHING_KNOWN,
        NO,
        "a holiday, outside the times of the rule.",
    ),
    (
        "a Saturday in Berlin that is a Friday in Greenwich",
        {"time": HOURS | {"from": "00:00"}},
        at(2026, 11, 27, 23, 30),
        NOTHING_KNOWN,
        NO,
        "It is Sat 2026-11-28 00:30 in Europe/Berlin: a day outside",
    ),
    (
        "the last minute of a day without an end",
        {"time": {"from": "08:00"}},
        at(2026, 11, 24, 23, 59),
        NOTHING_KNOWN,
        YES,
        "It is Tue 2026-11-24 23:59 in UTC: within",
    ),
    (
        "outside, where that is asked for",
        {"time": HOURS | {"within": False}},
        at(2026, 11, 22, 10, 0),
        NOTHING_KNOWN,
        YES,
        "a day outside the times of the rule.",
    ),
    # Several conditions
    (
        "two conditions that hold",
        {"tool": "pay", "amount": BAND},
        paying(),
        NOTHING_KNOWN,
        YES,
        "The tool is pay. 500.00 EUR is above 100.00 EUR and up to 1,000.00 EUR.",
    ),
    (
        "two conditions of which one does not hold",
        {"tool": "pay", "amount": BAND},
        paying(1),
        NOTHING_KNOWN,
        NO,
        "0.01 EUR is not above 100.00 EUR",
    ),
    (
        "what nobody can tell beside what does not hold",
        {"agent": "clerk", "tool": "recall"},
        paying(agent=""),
        NOTHING_KNOWN,
        NO,
        "The tool is pay, not recall.",
    ),
]
ids = [case[0] for case in CASES]
