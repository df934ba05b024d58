"""Two policies side by side, and free text, in words."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.rules.document import from_text
from approvals.rules.facts import free_text_of
from approvals.rules.telling import Difference, diff, phrases
from approvals.rules.words import amount, names, span
from tests.approvals.rules.asking import ALLOW, BLOCK, CONSENT, document, rule
from tests.approvals.rules.test_document import FULL


def told(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.what, one.text) for one in diff(old, new)]


def test_every_part_of_a_rule_has_its_words() -> None:
    barred, large, rest = from_text(FULL)["rules"]
    assert phrases(barred) == (
        "when the payee is in the list barred",
        "it is blocked: We do not pay them: they are barred.",
    )
    assert phrases(large) == (
        "when the tool is pay",
        "when the amount is above 10,000.00 EUR",
        "when the payments to this payee within 1 day are above 0.00 EUR",
        "when the payment carries free text",
        "when iban differs from the last similar action",
        "when it is outside Mon, Tue, Wed, Thu and Fri from 08:00 to 18:00 in Europe/Berlin, but"
        " not on 2026-12-25",
        "2 of the group payments or 3 of the board, the role reviewer, members for 1 day, must"
        " consent",
        "by a passkey, typed, and with time to take it back",
        "within 2 hours",
        "with a reminder after 10 minutes",
        "after at least 5 seconds on the page",
        "used after 15 minutes at the earliest",
        "after 1 hour also by the group board",
    )
    assert phrases(rest) == ("when always", "it is allowed without asking anybody")


@pytest.mark.parametrize(
    ("when", "phrase"),
    [
        ({"payee": {"first_seen": True}}, "when the account was never paid before"),
        ({"payee": {"first_seen": False}}, "when the account was already paid before"),
        (
            {"payee": {"account_changed": True}},
            "when the account of this name has changed since last time",
        ),
        ({"payee": {"not_in": "known"}}, "when the payee is not in the list known"),
        ({"free_text": False}, "when the payment carries no free text"),
        ({"agents": ["b", "a"]}, "when the agent is a or b"),
        (
            {"time": {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}},
            "when it is within every day from 00:00 to 24:00 in UTC",
        ),
        (
            {"amounts": [{"currency": "JPY", "above_minor": 5, "up_to_minor": 9}]},
            "when the amount is above 5 JPY and up to 9 JPY",
        ),
    ],
)
def test_a_condition_has_its_words(when: dict[str, Any], phrase: str) -> None:
    (one,) = document(rule({"allow": {"sample_percent": 5}}, **when))["rules"]
    assert phrases(one) == (
        phrase,
        "it is allowed without asking anybody, and 5 % are looked at later",
    )


def test_figures_are_told_as_people_read_them() -> None:
    told = [amount(123_450, "EUR"), amount(5, "EUR"), amount(5, "JPY"), amount(1_234_567, "KWD")]
    assert told == ["1,234.50 EUR", "0.05 EUR", "5 JPY", "1,234.567 KWD"]
    assert [span(one) for one in (1, 90, 120, 5_400, 7_200, 86_400, 172_800)] == [
        *("1 second", "90 seconds", "2 minutes", "90 minutes", "2 hours", "1 day", "2 days"),
    ]
    assert names(["a"]) == "a"
    assert names(list("abcdefg"), "and") == "a, b, c, d, e and 2 more"
    assert names(["a\u202eb", ""]) == "a?b or (empty)"


def test_policies_that_are_alike_do_not_differ() -> None:
    assert diff(from_text(FULL), from_text(FULL)) == []


def test_a_rule_that_came_or_went_is_told_with_all_it_says() -> None:
    one, two = document(rule(CONSENT, "a")), document(rule(CONSENT, "a"), rule(BLOCK, "b"))
    words = ("when always", "it is blocked: Not here.")
    assert diff(one, two) == [
        Difference(what="added", name="b", text="The rule 'b' is new, as no. 2.", come=words)
    ]
    assert diff(two, one) == [
        Difference(
            what="removed", name="b", text="The rule 'b', which was no. 2, is gone.", gone=words
        )
    ]


def test_a_rule_that_changed_is_told_by_what_it_no_longer_says_and_says_now() -> None:
    old = document(rule({"consent": {"group": "payments", "count": 2}}, "a", tool="pay"))
    new = document(rule({"consent": {"group": "payments", "count": 1}}, "a"))
    (one,) = diff(old, new)
    assert (one.what, one.text) == ("changed", "The rule 'a' has changed.")
    assert one.gone == ("when the tool is pay", "2 of the group payments must consent")
    assert one.come == ("when always", "1 of the group payments must consent")


def test_a_rule_that_moved_is_told() -> None:
    """The order decides: an allow that is tried first lets through what a block below refuses."""
    rules = [rule(BLOCK, "a"), rule(ALLOW, "b"), rule(CONSENT, "c")]
    old = document(*rules)
    new = document(rules[1], rules[0], rules[2])
    assert told(old, new) in (
        [("moved", "The rule 'b' is tried as no. 1, no longer as no. 2.")],
        [("moved", "The rule 'a' is tried as no. 2, no longer as no. 1.")],
    )
    assert told(old, document(rules[1], rules[2])) == [
        ("removed", "The rule 'a', which was no. 1, is gone.")
    ]


def test_lists_and_freezes_are_told() -> None:
    freeze = {"scope": "payee", "denials": 3, "within_seconds": 3600}
    old = document(lists={"known": ["x", "y"], "old": ["z"]}, freezes=[])
    new = document(lists={"known": ["y", "v"], "new": ["z"]}, freezes=[freeze])
    found = {one.text: (one.gone, one.come) for one in diff(old, new)}
    assert found == {
        "The list 'known' has changed.": (("x",), ("v",)),
        "The list 'new' is new.": ((), ("z",)),
        "The list 'old' is gone.": (("z",), ()),
        "What freezes by itself has changed.": ((), ("3 denials within 1 hour freeze the payee",)),
    }


# What a difference cannot say twice


def test_every_change_of_a_document_is_a_difference() -> None:
    """Each key of a consent that is set otherwise has a phrase that says so."""
    base = {"group": "payments", "expires_after_seconds": 7200}
    for changed in (
        {"tier": "passkey"},
        {"expires_after_seconds": 3600},
        {"remind_after_seconds": 60},
        {"dwell_seconds": 5},
        {"cooling_off_seconds": 5},
        {"escalation": {"after_seconds": 60, "groups": ["board"]}},
        {"count": 2},
        {"group": "board"},
    ):
        old = document(rule({"consent": base}))
        (one,) = diff(old, document(rule({"consent": base | changed})))
        assert one.gone or one.come, changed


# Free text

SCHEMA = {
    "properties": {
        "kind": {"enum": ["rent", "wage"]},
        "urgency": {"anyOf": [{"const": "now"}, {"type": "null"}]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
}
MONEY = {"amount": "amount", "currency": "currency", "payee": "iban", "payee_name": "creditor"}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"iban": "x", "currency": "EUR", "creditor": "ACME", "amount": 5}, ()),
        ({"note": "hello", "reference": "r"}, ("note", "reference")),
        ({"note": "", "reference": " ", "lines": []}, ()),
        ({"kind": "rent", "urgency": "now"}, ()),
        ({"lines": [{"text": ""}, {"text": "x"}]}, ("lines",)),
        ({"lines": {"said": 5}}, ("lines",)),
        ({"count": 5, "flag": True, "nothing": None}, ()),
    ],
)
def test_free_text_is_what_a_payment_says_beside_whom_and_how_much(
    arguments: dict[str, Any], found: tuple[str, ...]
) -> None:
    assert free_text_of({"money": MONEY, "schema": SCHEMA}, arguments) == found
