"""Tools that say that they honour keys are held to it, by the harness that authors have too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.demo.workflows import send_payment
from runs.declare import TOOLS, tool
from runs.testing import PlayedCall, prove_keyed
from tests.demo.bank_process import ORDER, BankProcess
from tests.harness import World
from tests.zoo import ledger, note

MONEY = {"iban": "GB29NWBK60161331926819", "amount_minor": 500, "currency": "EUR"}
# Each keyed tool of the zoo, with arguments and what it leaves in the ledger.
KEYED: dict[str, tuple[dict[str, Any], str]] = {
    "register": ({"name": "x"}, "registered"),
    "pay": ({**MONEY, "reference": "r"}, "paid"),
    "book": ({"place": "x"}, "booked"),
    "unbook": ({"place": "x"}, "unbooked"),
    "charge": (MONEY, "charged"),
    "charge_back": (MONEY, "charged-back"),
    "enrol": ({"name": "x"}, "enrolled"),
    "seat": ({"name": "x", "seats": 2}, "seated"),
}
WITHOUT_EFFECT = {"hope", "oversleep", "drift", "ignore", "beat", "travel"}
"""They only take their time, or fail."""


def test_every_keyed_tool_of_the_zoo_is_proven() -> None:
    keyed = {
        name
        for name, one in TOOLS.items()
        if one.effect == "keyed" and one.function.__module__.startswith("tests.zoo")
    }
    assert keyed == KEYED.keys() | WITHOUT_EFFECT


@pytest.mark.parametrize("name", KEYED)
def test_a_keyed_tool_has_one_effect_for_one_key(world: World, name: str) -> None:
    arguments, kind = KEYED[name]
    prove_keyed(TOOLS[name], arguments, lambda: len(ledger(kind)))


def test_the_payment_of_the_demo_honours_keys(bank: BankProcess) -> None:
    prove_keyed(
        send_payment,
        ORDER,
        lambda: len(bank.payments()),
        # The same invoice is not paid twice, also under another key.
        other_arguments=ORDER | {"reference": "FH-2026-0418"},
        secret={"api_key": bank.api_key},
    )


@pytest.fixture
def bank(tmp_path: Path) -> Any:
    from django.test import override_settings

    with BankProcess(tmp_path / "bank") as bank:
        with override_settings(PLACET_DEMO_BANK_URL=bank.url):
            yield bank


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("always", "was called twice with one key: it should have had 1 effect, not 2"),
        ("never", "was called once: it should have had 1 effect, not 0"),
        ("first only", "was called with a second key: it should have had 2 effects, not 1"),
        ("by chance", "was called twice with one key, and its results differ: 1 and 2"),
    ],
)
def test_a_tool_that_does_not_is_found_out(world: World, how: str, why: str) -> None:
    @tool(effect="keyed")
    def pretends(call: Any) -> int:
        seen = ledger("pretended")
        known = any(entry["key"] == call.idempotency_key for entry in seen)
        is_made = {"always": True, "never": False, "first only": not seen, "by chance": not known}
        if is_made[how]:
            note("pretended", key=call.idempotency_key)
        return call.attempt if how == "by chance" else 0

    try:
        with pytest.raises(AssertionError, match=f"pretends {why}"):
            prove_keyed(pretends, {}, lambda: len(ledger("pretended")))
    finally:
        del TOOLS["pretends"]


def test_an_async_tool_is_played_as_well(world: World) -> None:
    @tool(effect="keyed")
    async def shouts(call: Any, *, word: str) -> str:
        call.heartbeat({"word": word})
        if not any(entry["key"] == call.idempotency_key for entry in ledger("shouted")):
            note("shouted", key=call.idempotency_key)
        return word.upper()

    try:
        prove_keyed(shouts, {"word": "x"}, lambda: len(ledger("shouted")))
    finally:
        del TOOLS["shouts"]
    assert PlayedCall(idempotency_key="k").complete_later().startswith("test.1.")
