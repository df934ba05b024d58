"""What a policy says about a request: by the table, and where several rules stand together."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.rules.evaluate import Outcome, evaluate, needed
from approvals.rules.facts import Circumstances, Needs, Request, Summed
from tests.approvals.rules.asking import (
    ALLOW,
    BLOCK,
    CONSENT,
    DAY,
    NOTHING_KNOWN,
    calling,
    document,
    paying,
    rule,
)
from tests.approvals.rules.table import BAND, CASES, NO, NOBODY_KNOWS, Case, a_sum, ids


def outcome_of(then: Any, when: dict[str, Any], request: Request, known: Circumstances) -> Outcome:
    return evaluate(document(rule(then, **when)), request, known)


@pytest.mark.parametrize("case", CASES, ids=ids)
@pytest.mark.parametrize(("then", "kind"), [(CONSENT, "consent"), (BLOCK, "block")])
def test_a_block_or_a_consent_decides_and_holds_what_nobody_can_tell(
    case: Case, then: Any, kind: str
) -> None:
    _, when, request, known, matches, why = case
    outcome = outcome_of(then, when, request, known)
    (tried,) = outcome.tried
    assert tried.matched is matches
    assert why in tried.text
    if matches is NO:
        assert (outcome.kind, outcome.rule, outcome.then) == ("held", None, None)
        assert outcome.because.startswith("No rule of the policy covers pay")
    elif matches is NOBODY_KNOWS:
        assert (outcome.kind, outcome.rule, outcome.then) == ("held", 0, None)
        assert outcome.because.startswith(f"Nobody can tell whether the rule 'the rule' ({kind})")
        assert why in outcome.because
    else:
        assert (outcome.kind, outcome.rule, list(outcome.then or ())) == (kind, 0, [kind])
        assert why in outcome.because


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_an_allow_lets_through_only_what_is_certain(case: Case) -> None:
    _, when, request, known, matches, why = case
    outcome = outcome_of(ALLOW, when, request, known)
    assert outcome.kind == ("allow" if matches else "held")
    assert why in outcome.tried[0].text
    if not matches:
        assert outcome.because.startswith("No rule of the policy covers pay")


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_what_a_rule_needs_is_looked_up(case: Case) -> None:
    """Whatever the table knows from rows, and its answer rests on, is asked for."""
    _, when, request, known, _, _ = case
    needs = needed(document(rule(CONSENT, **when)), request)
    names = {one.name for one in outcome_of(CONSENT, when, request, known).tried[0].conditions}
    is_money = request.money is not None
    in_euro = is_money and request.money is not None and request.money["currency"] == "EUR"
    assert bool(needs.sums) == ("sums" in names and in_euro)
    assert needs.payee == (bool({"payee.first_seen", "payee.account_changed"} & names) and is_money)
    assert bool(needs.changed) == ("changed" in names)


def test_the_table_is_as_long_as_it_should_be() -> None:
    assert len(CASES) >= 40
    assert len(set(ids)) == len(ids)


# Several rules


def test_the_first_rule_that_matches_decides() -> None:
    first = rule({"consent": {"group": "payments", "count": 2}}, "large", amount=BAND)
    second = rule(ALLOW, "small", tool="pay")
    large, small = paying(50_000), paying(10_000)

    for rules, expected in (
        ((first, second), [("consent", 0, "large"), ("allow", 1, "small")]),
        ((second, first), [("allow", 0, "small"), ("allow", 0, "small")]),
    ):
        found = [evaluate(document(*rules), one, NOTHING_KNOWN) for one in (large, small)]
        assert [(one.kind, one.rule, one.name) for one in found] == expected


def test_the_rules_that_were_tried_are_told_and_no_other() -> None:
    rules = [rule(CONSENT, name, tool=name) for name in ("recall", "pay", "refund")]
    outcome = evaluate(document(*rules), paying(), NOTHING_KNOWN)
    assert [(one.name, one.matched) for one in outcome.tried] == [("recall", False), ("pay", True)]
    assert outcome.because == "The rule 'pay' matches. The tool is pay."


def test_no_rule_at_all_is_a_refusal() -> None:
    outcome = evaluate(document(), paying(), NOTHING_KNOWN)
    assert (outcome.kind, outcome.then, outcome.tried) == ("held", None, ())
    assert outcome.because == (
        "No rule of the policy covers pay of 500.00 EUR, so nobody may clear it."
    )
    assert evaluate(document(), calling(), NOTHING_KNOWN).because == (
        "No rule of the policy covers pay, so nobody may clear it."
    )


def test_a_consent_that_nobody_can_evaluate_is_not_passed_by() -> None:
    """The rule below it would let the payment through."""
    above = rule(CONSENT, "new", payee={"first_seen": True})
    below = rule(ALLOW, "else")
    held = evaluate(document(above, below), paying(), NOTHING_KNOWN)
    assert (held.kind, held.name) == ("held", "new")
    known = evaluate(document(above, below), paying(), Circumstances(first_seen=False))
    assert (known.kind, known.name) == ("allow", "else")


def test_an_allow_that_nobody_can_evaluate_is_passed_by() -> None:
    above = rule(ALLOW, "known", payee={"first_seen": False})
    below = rule(CONSENT, "else")
    for known, kind in ((NOTHING_KNOWN, "consent"), (Circumstances(first_seen=False), "allow")):
        assert evaluate(document(above, below), paying(), known).kind == kind


def test_a_block_says_its_reason() -> None:
    outcome = evaluate(document(rule(BLOCK, tool="pay")), paying(), NOTHING_KNOWN)
    assert outcome.because == "The rule 'the rule' blocks it: Not here. The tool is pay."


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"rules": []}, "It does not have its normal form."),
        (None, "This must be a mapping"),
        ({"v": 2, "rules": [], "lists": {}, "freezes": []}, "/v: This must be from 1 to 1."),
        ({"v": 1, "rules": [1.5], "lists": {}, "freezes": []}, "/rules/0: This must be a mapping"),
        ({"v": 1, "rules": [object()], "lists": {}, "freezes": []}, "no canonical JSON form"),
    ],
)
def test_a_broken_document_holds_everything(broken: Any, why: str) -> None:
    outcome = evaluate(broken, paying(), NOTHING_KNOWN)
    assert (outcome.kind, outcome.rule) == ("held", None)
    assert outcome.because.startswith("The policy in force is broken, so nothing passes.")
    assert why in outcome.because
    assert needed(broken, paying()) == Needs()


def test_nothing_is_looked_up_for_a_rule_that_the_requestrules_out() -> None:
    one = document(rule(CONSENT, tool="recall", sum=a_sum(), payee={"first_seen": True}))
    assert needed(one, paying()) == Needs()
    assert needed(one, paying(tool="recall")) == Needs(sums=(("payee", "EUR", DAY),), payee=True)


def test_circumstances_come_back_from_an_envelope_as_they_were() -> None:
    known = Circumstances(
        sums={
            ("run", "EUR", 60): Summed(amount_minor=1),
            ("payee", "JPY", 9): Summed(amount_minor=2, is_at_least=True),
        },
        first_seen=True,
        account_changed=None,
        compared_with="",
        changed={"a": True, "b": False},
    )
    assert Circumstances.from_json(known.as_json()) == known
    assert Circumstances.from_json(NOTHING_KNOWN.as_json()) == NOTHING_KNOWN
    too_large = Circumstances(sums={("run", "EUR", 60): Summed(amount_minor=2**60)})
    (one,) = Circumstances.from_json(too_large.as_json()).sums.values()
    assert one == Summed(amount_minor=2**53 - 1, is_at_least=True)
