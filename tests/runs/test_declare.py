"""Declaring tools and workflows: mistakes of authors are named at once."""

from __future__ import annotations

from typing import Any

import pytest

from runs import Money, Retry, tool, workflow
from runs.declare import TOOLS, WORKFLOWS
from runs.errors import InvalidArguments, InvalidInput
from tests import zoo


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is declared in a test is gone after it."""
    monkeypatch.setattr("runs.declare.TOOLS", dict(TOOLS))
    monkeypatch.setattr("runs.declare.WORKFLOWS", dict(WORKFLOWS))


def test_effect_has_no_default() -> None:
    with pytest.raises(TypeError, match="effect"):
        tool()  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="must be one of safe, keyed, probed, once"):
        tool(effect="sometimes")  # type: ignore[arg-type]


def test_money_is_never_safe() -> None:
    with pytest.raises(ValueError, match="is not safe"):
        tool(effect="safe", money=Money(amount="a", currency="b", payee="c"))


def test_money_names_arguments_that_exist() -> None:
    with pytest.raises(ValueError, match="money names 'amount', which is no argument of it"):

        @tool(effect="keyed", money=Money(amount="amount", currency="currency", payee="iban"))
        def wire_blindly(call: Any, *, currency: str, iban: str) -> None: ...


def test_names_are_taken_once() -> None:
    with pytest.raises(ValueError, match="Two tools are called 'add'"):
        tool(effect="safe")(zoo.add.function)
    with pytest.raises(ValueError, match="Two workflows are called 'adding'"):
        workflow("adding", version=1)(zoo.adding.function)


def test_arguments_are_by_keyword_only() -> None:
    with pytest.raises(ValueError, match="all others by keyword only"):

        @tool(effect="safe")
        def loose(call: Any, a: int) -> None: ...


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"a": 1}, "/b: Field required"),
        ({"a": 1, "b": "2"}, "/b: Input should be a valid integer"),
        ({"a": 1, "b": 2, "c": 3}, "/c: Extra inputs are not permitted"),
        ({"a": 1.0, "b": 2}, "/a: Input should be a valid integer"),
        ({"a": True, "b": 2}, "/a: Input should be a valid integer"),
    ],
)
def test_arguments_that_do_not_fit_are_named(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArguments, match=sentence):
        zoo.add.arguments(given)


def test_input_that_does_not_fit_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        zoo.paying.checked_input({"amounts": [1, "2"], "extra": 1})
    assert {pointer for pointer, _ in refused.value.errors} == {"/amounts/1", "/extra"}


def test_the_declaration_changes_with_what_matters() -> None:
    changed = zoo.pay.__class__(**{**zoo.pay.__dict__, "version": 2})
    assert changed.declaration_digest != zoo.pay.declaration_digest
    slower = zoo.pay.__class__(**{**zoo.pay.__dict__, "retry": Retry(attempts=9)})
    assert slower.declaration_digest == zoo.pay.declaration_digest


def test_a_safe_tool_is_also_a_plain_function() -> None:
    @tool(effect="safe")
    def double(call: Any, *, a: int) -> int:
        return 2 * a

    assert double(None, a=2) == 4


@pytest.mark.parametrize("attempts", [0, 101])
def test_retries_have_edges(attempts: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 100"):
        Retry(attempts=attempts)


def test_waits_grow_up_to_their_cap() -> None:
    retry = Retry(base_seconds=1, cap_seconds=10)
    assert [retry.longest_wait_seconds(n) for n in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 8, 10, 10]
