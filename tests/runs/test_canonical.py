"""Canonical bytes, and what may be part of a payment."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from runs import canonical, limits
from runs.errors import InvalidArguments, NotCanonical, PayloadTooLarge

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(JSON)
def test_bytes_decode_to_the_value_and_encode_to_the_same_bytes(value: Any) -> None:
    encoded = canonical.encode(value)
    assert canonical.decode(encoded) == value
    assert canonical.encode(canonical.decode(encoded)) == encoded


ORDINARY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8"))
    | st.text(st.sampled_from('"\\/\b\f\n\r\t\0\x1f\x7f\u2028\ue000\U0001f600')),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=5), inner, max_size=5)
        | st.dictionaries(st.text("a\ue000\uffff\U0001f600", max_size=3), inner, max_size=5)
    ),
    max_leaves=30,
)


@given(ORDINARY | JSON)
def test_the_bytes_are_those_of_the_standard(value: Any) -> None:
    assert canonical.encode(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 9), min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    turned = dict(reversed(list(value.items())))
    assert canonical.encode(value) == canonical.encode(turned)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**53,
        2.0**53,
        -1e300,
        "\ud800",
        {1: 2},
        object(),
        b"x",
        {"a": {1, 2}},
    ],
)
def test_what_json_cannot_say_exactly_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(NotCanonical, match="no canonical JSON form"):
        canonical.encode(value)


def test_payloads_have_an_end() -> None:
    at_the_limit = "x" * (limits.MAX_PAYLOAD_BYTES - 2)
    assert len(canonical.encode(at_the_limit)) == limits.MAX_PAYLOAD_BYTES
    with pytest.raises(PayloadTooLarge, match="at most 262144 are kept"):
        canonical.encode(at_the_limit + "x")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_has_an_end() -> None:
    canonical.encode(nested(limits.MAX_DEPTH))
    with pytest.raises(PayloadTooLarge, match="more than 32 levels deep"):
        canonical.encode(nested(limits.MAX_DEPTH + 1))
    with pytest.raises(PayloadTooLarge, match="more than 32 levels deep"):
        canonical.encode(nested(50_000))


@pytest.mark.parametrize(
    "hidden",
    ["\u202e", "\u2066", "\u200b", "\u200f", "\x00", "\x1b", "\n", "\u2028", "\ufeff", "\u00ad"],
)
def test_hidden_characters_cannot_be_part_of_a_payment(hidden: str) -> None:
    with pytest.raises(InvalidArguments, match=f"/payee: the character U\\+{ord(hidden):04X}"):
        canonical.strict({"payee": f"ACME{hidden}Ltd"})
    with pytest.raises(InvalidArguments):
        canonical.strict({f"pay{hidden}ee": "ACME"})
    assert canonical.strict({"payee": "ACME Ltd"}) == {"payee": "ACME Ltd"}


def test_text_of_a_payment_is_composed() -> None:
    assert canonical.strict("Zu\u0308rich") == "Z\u00fcrich"


@pytest.mark.parametrize("value", [1.0, {"a": [1, 0.1]}, [[1e3]]])
def test_floats_cannot_be_part_of_a_payment(value: Any) -> None:
    with pytest.raises(InvalidArguments, match="use minor units"):
        canonical.strict(value, "arguments")


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        (0, "above zero"),
        (-1, "above zero"),
        (True, "whole number"),
        ("5", "whole number"),
        (5.0, "whole number"),
        (limits.MAX_AMOUNT_MINOR + 1, "can be paid"),
    ],
)
def test_amounts_are_whole_and_positive(amount: Any, sentence: str) -> None:
    with pytest.raises(InvalidArguments, match=sentence):
        canonical.check_money(amount, "EUR", "ACME")
    canonical.check_money(limits.MAX_AMOUNT_MINOR, "EUR", "ACME")


def test_a_payee_is_not_empty() -> None:
    with pytest.raises(InvalidArguments, match="payee must not be empty"):
        canonical.check_money(1, "EUR", " ")


def test_currencies_know_their_minor_units() -> None:
    assert (canonical.CURRENCIES["EUR"], canonical.CURRENCIES["JPY"]) == (2, 0)
    assert canonical.CURRENCIES["KWD"] == 3


def test_keys_and_digests_are_separated_by_domain() -> None:
    assert canonical.step_digest("ab", b"c") != canonical.step_digest("a", b"bc")
    assert canonical.step_key("t", "r", 1, "x") != canonical.step_key("t", "r", 11, "x")
    assert json.loads(canonical.encode({"a": 1})) == {"a": 1}
