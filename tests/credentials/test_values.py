"""What is lent is usable, and shows itself nowhere by accident."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest

from credentials.errors import LeaseEnded
from credentials.values import SecretRef, SecretText

CANARY = "sk_canary_values"


def lent() -> SecretRef:
    return SecretRef("bank/payments", {"api_key": SecretText(CANARY, "bank/payments/api_key")})


def test_a_field_is_usable_as_a_text() -> None:
    value = lent()["api_key"]
    assert value == CANARY
    assert f"Bearer {value}" == "Bearer " + CANARY
    assert json.loads(json.dumps({"key": value})) == {"key": CANARY}


def test_the_secret_shows_its_reference_only() -> None:
    secret = lent()
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret!r}", repr({"s": secret})):
        assert "bank/payments" in shown
        assert CANARY not in shown
    assert CANARY not in repr(dict(secret))
    assert CANARY not in repr(list(secret.items()))


def test_a_traceback_with_local_variables_shows_no_value() -> None:
    secret = lent()
    value = secret["api_key"]
    try:
        raise ValueError(f"with {len(value)} characters")
    except ValueError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(shown.format())
    assert "value = '[redacted:bank/payments/api_key]'" in text
    assert CANARY not in text


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_neither_secret_nor_value_can_be_pickled_or_copied(carry: object) -> None:
    assert callable(carry)
    for thing in (lent(), lent()["api_key"]):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            carry(thing)


def test_a_field_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="The secret bank/payments has no field 'token'"):
        lent()["token"]


def test_after_forgetting_there_is_nothing_left() -> None:
    secret = lent()
    secret.forget()
    for look in (lambda: secret["api_key"], lambda: list(secret), lambda: len(secret)):
        with pytest.raises(LeaseEnded, match="The lease of the secret bank/payments has ended"):
            look()
    assert repr(secret) == "<secret bank/payments>"
