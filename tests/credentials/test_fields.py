"""What cannot be stored is refused at the door, each with its sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials.errors import InvalidSecret
from credentials.fields import MAX_FIELDS, MAX_VALUE_CHARACTERS, check_fields
from credentials.paths import check_path, vault_path
from credentials.redaction import forms


@pytest.mark.parametrize("path", ["bank/payments", "a", "Bank-1/eu_west/api.v2", "x" * 128])
def test_plain_paths_are_accepted(path: str) -> None:
    assert vault_path("main", path) == f"main/{path}"


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/a", "a/", "a//b", "..", "a/../b", "a/..", "a..b", ".a", "a.", "a b", "a%2fb",
        "a?b", "a#b", "a\n", "a/b\n", "a\0", "é", "a\\b", "*", "a/+/b", "-a", "a\u202eb",
    ],
)  # fmt: skip
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(InvalidSecret, match="is not a path of a secret: write words"):
        check_path(path)


def test_a_long_path_is_refused_with_its_length() -> None:
    with pytest.raises(InvalidSecret, match="may have 128 characters; this one has 129"):
        check_path("x" * 129)


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "a b", "x" * 64, "../main"])
def test_a_tenant_cannot_lead_out_of_its_place(tenant: str) -> None:
    with pytest.raises(InvalidSecret, match="cannot be the tenant of a secret"):
        vault_path(tenant, "bank/payments")


@given(st.text(max_size=40))
def test_whatever_is_accepted_stays_below_its_tenant(path: str) -> None:
    try:
        place = vault_path("main", path)
    except InvalidSecret:
        return
    assert place.startswith("main/")
    assert not {"", ".", ".."} & set(place.split("/"))
    assert place.isascii() and place.isprintable() and " " not in place


REFUSED: list[tuple[dict[str, str], str]] = [
    ({}, "A secret needs at least one field."),
    ({f"f{n}": "long enough" for n in range(MAX_FIELDS + 1)}, "may have 32 fields; this one has"),
    ({"": "long enough"}, "'' is not a name of a field"),
    ({"a/b": "long enough"}, "'a/b' is not a name of a field"),
    ({"x" * 65: "long enough"}, "is not a name of a field"),
    ({"pin": "1234567"}, "The value of bank/pin has fewer than 8 characters"),
    ({"pin": " 1234567 \n"}, "The value of bank/pin has fewer than 8 characters"),
    ({"key": "x" * (MAX_VALUE_CHARACTERS + 1)}, "has more than 16384 characters"),
    ({"key": "broken \ud800 text"}, "The value of bank/key is not valid text"),
    ({"key": "redacted"}, "The value of bank/key is part of its own name"),
]


@pytest.mark.parametrize(("fields", "sentence"), REFUSED)
def test_fields_that_cannot_be_kept_private_are_refused(
    fields: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidSecret) as refused:
        check_fields("bank", fields)
    assert sentence in str(refused.value)
    assert "1234567" not in str(refused.value)


def test_a_value_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidSecret, match="The value of bank/key must be a text"):
        check_fields("bank", {"key": 12345678})  # type: ignore[dict-item]


@given(st.text(max_size=40))
def test_whatever_is_accepted_can_be_looked_for(value: str) -> None:
    try:
        check_fields("bank", {"key": value})
    except InvalidSecret:
        return
    assert {value, value.strip()} <= forms(value)
