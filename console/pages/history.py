"""What is unusual about a request and what differs from the last payment, in whole sentences.

The figures are those of `approvals.history`. A sentence is written once, and read twice: with
amounts, accounts and days as a page shows them, and as plain text for the API.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from approvals.figures import SUM_OVER
from approvals.history import Comparison, Fact, History, Kind
from console.pages import words
from console.templatetags import placet


@dataclass(frozen=True, kw_only=True)
class Part:
    """What stands in a sentence for one figure, for pages and as plain text."""

    html: SafeString | str
    text: str


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A fact in words; each field in braces is one of the parts."""

    fact: Fact
    words: str
    parts: dict[str, Part]

    @property
    def text(self) -> str:
        return self.words.format(**{name: part.text for name, part in self.parts.items()})

    @property
    def factor(self) -> str | None:
        """How many times the median, where the fact says so."""
        return self.parts["factor"].text if self.fact.tenths else None

    @property
    def html(self) -> SafeString:
        return format_html(self.words, **{name: part.html for name, part in self.parts.items()})


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a gate's page says of the history: `quiet` instead of what would be unusual."""

    unusual: list[Sentence]
    quiet: Sentence | None
    usual: list[Sentence]
    comparison: Comparison | None
    same_words: str
    none_words: str


def told_of(history: History) -> Told:
    """The whole of what a page says of a gate's history, in words."""
    unusual = [sentence_of(fact) for fact in history.facts if fact.is_unusual]
    usual = [fact for fact in history.facts if not fact.is_unusual]
    known = next((fact for fact in usual if fact.kind == Kind.KNOWN), None)
    quiet = None if unusual or known is None else _quiet(known)
    compared = history.comparison
    return Told(
        unusual=unusual,
        quiet=quiet,
        usual=[sentence_of(fact) for fact in usual if quiet is None or fact is not known],
        comparison=compared,
        same_words=_same_words(compared) if compared else "",
        none_words=_none_words(history),
    )


def sentence_of(fact: Fact) -> Sentence:
    """The fact as a whole sentence, with the figures that it rests on."""
    return _said(fact, _WORDS[fact.kind](fact))


def _quiet(known: Fact) -> Sentence:
    return _said(known, f"Nothing is unusual: {_known(known)}")


def _first(fact: Fact) -> str:
    if fact.among:
        return "No payment to this account is among the last {among} requests that were closed."
    return "This is the first payment to this account."


def _known(fact: Fact) -> str:
    among = " among the last {among} requests that were closed" if fact.among else " before"
    noun = "payment" if fact.count == 1 else "payments"
    return f"{{count}} {noun} to this account{among}, the last on {{at}}."


def _changed(_fact: Fact) -> str:
    return (
        "The account of {payee_name} has changed: the last payment to that name went to "
        "{payee} on {at}."
    )


def _factor(_fact: Fact) -> str:
    return "It is {factor} times the median of the last {count} payments to this payee ({amount})."


def _repeated(_fact: Fact) -> str:
    return "The same amount to the same account was paid on {at}."


def _asked_again(fact: Fact) -> str:
    if fact.count == 1:
        return "Another open request asks for the same amount to the same account."
    return "{count} other open requests ask for the same amount to the same account."


def _of_run(_fact: Fact) -> str:
    return "It is the {ordinal} payment that this run asks for."


def _sum(fact: Fact) -> str:
    least = "at least " if fact.is_at_least else ""
    said = f"With this, {least}{{amount}} would have been paid to this account within {{days}} days"
    if fact.waiting_minor:
        noun = "other request" if fact.count == 1 else "other requests"
        said += f", of which {{waiting}} is still waiting to be decided in {{count}} {noun}"
    if fact.underway_minor:
        joint = " and" if fact.waiting_minor else ", of which"
        said += f"{joint} {{underway}} is approved and not paid yet"
    return f"{said}."


_WORDS = {
    Kind.FIRST: _first,
    Kind.KNOWN: _known,
    Kind.CHANGED: _changed,
    Kind.FACTOR: _factor,
    Kind.REPEATED: _repeated,
    Kind.ASKED_AGAIN: _asked_again,
    Kind.OF_RUN: _of_run,
    Kind.SUM: _sum,
}


def _said(fact: Fact, said: str) -> Sentence:
    parts = {
        "count": _plain(f"{fact.count:,}"),
        "among": _plain(f"{fact.among:,}"),
        "days": _plain(str(SUM_OVER.days)),
        "ordinal": _plain(_ordinal(fact.count)),
        "factor": _plain(f"{fact.tenths // 10:,}.{fact.tenths % 10}"),
        "amount": _money(fact.amount_minor, fact.currency),
        "waiting": _money(fact.waiting_minor, fact.currency),
        "underway": _money(fact.underway_minor, fact.currency),
        "payee": _named(placet.account(fact.payee), fact.payee),
        "payee_name": _named(placet.shown(fact.payee_name), fact.payee_name),
        "at": _day(fact.at),
    }
    return Sentence(fact=fact, words=said, parts=parts)


def _plain(text: str) -> Part:
    return Part(html=text, text=text)


def _money(amount_minor: int, currency: str) -> Part:
    text = words.money(amount_minor, currency)
    return Part(html=placet.amount(amount_minor, currency), text=text)


def _named(shown: SafeString, text: str) -> Part:
    """What strangers wrote stands apart, so that it cannot turn the sentence around it."""
    return Part(html=format_html("<b><bdi>{}</bdi></b>", shown), text=text)


def _day(at: datetime | None) -> Part:
    if at is None:
        return _plain("")
    return Part(html=placet.when(at, "day"), text=words.day(at))


def _ordinal(number: int) -> str:
    is_teen = 10 < number % 100 < 20
    ending = "th" if is_teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def _same_words(compared: Comparison) -> str:
    count = compared.same_count
    if not compared.changes:
        return f"All {count} arguments are the same." if count > 1 else "Nothing differs."
    if not count:
        return "No other argument is the same."
    verb = "argument is" if count == 1 else "arguments are"
    return f"{count} other {verb} the same."


def _none_words(history: History) -> str:
    among = f" among the last {history.among:,} requests that were closed" if history.among else ""
    before = "" if among else " before"
    return (
        f"No payment to this account was made by {history.tool}{before}{among}: "
        "there is nothing to compare it with."
    )
