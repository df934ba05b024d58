"""How often a policy wants canaries: part of the document, told in words, left out where not."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.limits import MAX_CANARIES_PER_WEEK
from approvals.rules import document as documents
from approvals.rules import short, telling
from approvals.rules.faults import InvalidPolicy
from tests.approvals.rules.asking import CONSENT, document, rule


def wanting(per_week: Any) -> dict[str, Any]:
    return documents.normalise({"rules": [], "canaries": {"per_week": per_week}})


def test_a_policy_without_canaries_has_the_digest_it_had_before_there_were_any() -> None:
    plain = document(rule(CONSENT))
    assert "canaries" not in plain
    # The normal form as it was before there were any.
    assert documents.digest({"v": 1, "rules": [], "lists": {}, "freezes": []}) == documents.digest(
        wanting(0)
    )
    assert documents.digest(wanting(1)) != documents.digest(wanting(0))
    assert documents.digest(wanting(1)) != documents.digest(wanting(2))


def test_a_policy_with_canaries_is_said_in_yaml_and_json_both_ways() -> None:
    made = wanting(3)
    assert made["canaries"] == {"per_week": 3}
    for text in (documents.to_yaml(made), documents.to_json(made), short.to_yaml(made)):
        assert documents.from_text(text) == made
    assert "canaries:\n  per_week: 3\n" in short.to_yaml(made)


@pytest.mark.parametrize(
    ("canaries", "pointer", "said"),
    [
        ({"per_week": 21}, "/canaries/per_week", "This must be from 0 to 20."),
        ({"per_week": -1}, "/canaries/per_week", "This must be from 0 to 20."),
        ({"per_week": True}, "/canaries/per_week", "This must be a whole number"),
        ({}, "/canaries/per_week", "This is missing."),
        ({"per_day": 1}, "/canaries/per_day", "This is not known here; known are per_week."),
        (3, "/canaries", "This must be a mapping, not a number (3)."),
    ],
)
def test_what_is_no_number_of_canaries_is_a_fault_with_its_place(
    canaries: Any, pointer: str, said: str
) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        documents.normalise({"rules": [], "canaries": canaries})
    assert said in dict(refused.value.errors)[pointer]


def test_the_most_that_a_policy_may_want_is_a_limit() -> None:
    assert wanting(MAX_CANARIES_PER_WEEK)["canaries"] == {"per_week": 20}


def test_another_number_of_canaries_is_a_difference_in_words() -> None:
    (found,) = telling.diff(wanting(0), wanting(1))
    assert found.text == "How often canaries are planted has changed."
    assert (found.gone, found.come) == (("no canaries",), ("up to 1 canary within any seven days",))
    assert telling.diff(wanting(2), wanting(2)) == []
    assert telling.canaries(wanting(2)) == "up to 2 canaries within any seven days"
