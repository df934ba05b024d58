"""Names that are Placet's own, and secrets that an argument of a step names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from runs import Money, registry, reserved, tool, workflow
from runs.declare import TOOLS, WORKFLOWS
from tests.harness import World, as_role


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    before = set(TOOLS), set(WORKFLOWS)
    yield
    for known, kept in ((TOOLS, before[0]), (WORKFLOWS, before[1])):
        for name in set(known) - kept:
            del known[name]


def test_no_author_declares_what_is_placets_own() -> None:
    with pytest.raises(ValueError, match=r"names that begin with 'placet\.' are Placet's own"):

        @workflow("placet.mine", version=1)
        def mine(run: Any) -> None: ...

    with pytest.raises(ValueError, match=r"names that begin with 'placet\.' are Placet's own"):

        @tool(effect="once", name="placet.mine")
        def my_tool(call: Any) -> None: ...

    with pytest.raises(ValueError, match=r"Two tools are called 'placet\.deliver'"):

        @tool(effect="once", name="placet.deliver")
        def another(call: Any) -> None: ...


def test_nor_by_what_a_process_prints(world: World) -> None:
    """The owner believes no declaration: the code that prints them is the author's."""
    declared = registry.collect()
    (pay,) = (one for one in declared["tools"] if one["name"] == "pay")
    for changed, because in (
        ({"name": "placet.pay"}, "are Placet's own"),
        ({"name": "placet.deliver"}, "moves no money"),
        ({"secret": "bank/{iban}"}, "names its secret in full"),
    ):
        kept = [one for one in declared["tools"] if one["name"] not in ("pay", "placet.deliver")]
        with as_role("placet_owner"), pytest.raises(ImproperlyConfigured, match=because):
            registry.register({**declared, "tools": [*kept, {**pay, **changed}]})


def test_an_argument_may_name_a_part_of_the_secret_but_not_of_a_payment() -> None:
    @tool(effect="once", secret="shops/{shop}/key")
    def order(call: Any, *, shop: str) -> None: ...

    assert order.secret == "shops/{shop}/key"
    with pytest.raises(ValueError, match="its secret names 'shop', which is no argument of it"):

        @tool(effect="once", secret="shops/{shop}")
        def reorder(call: Any, *, item: str) -> None: ...

    with pytest.raises(ValueError, match="a tool that moves money names its secret in full"):

        @tool(
            effect="once",
            secret="banks/{bank}",
            money=Money(amount="amount_minor", currency="currency", payee="iban"),
        )
        def pay_by(
            call: Any, *, bank: str, iban: str, amount_minor: int, currency: str
        ) -> None: ...


@pytest.mark.parametrize(
    "value", ["", "a/b", "..", "a..b", "-a", "a b", "%2e", "x" * 64, 7, None, "a\n", "ä"]
)
def test_an_argument_is_one_part_of_the_path_and_nothing_else(value: Any) -> None:
    assert reserved.secret_of("notices/{c}", {"c": "a-1"}) == "notices/a-1"
    with pytest.raises(ValueError, match="The argument c cannot name a secret"):
        reserved.secret_of("notices/{c}", {"c": value})
