"""Tools that use secrets, well and badly, and workflows that call them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from runs import Money, Refusal, Retry, tool, workflow
from tests.zoo import note, pop_switch

SOON = Retry(attempts=2, base_seconds=0.01, cap_seconds=0.01, spent="fail")


@tool(effect="safe", secret="bank/payments", retry=SOON)
def read_balance(call: Any, *, account: str) -> dict[str, Any]:
    """Uses its secret as it should: the ledger learns only its fingerprint."""
    key = call.secret["api_key"]
    note("balance-read", account=account, key_sha256=hashlib.sha256(key.encode()).hexdigest())
    return {"account": account, "balance_minor": 100}


@tool(effect="safe", secret="bank/payments", retry=SOON)
def blab(call: Any, *, how: str) -> Any:
    """Puts its secret wherever it can."""
    key = call.secret["api_key"]
    call.log.warning("the key is %s", key)
    if how == "raise":
        raise RuntimeError(f"refused key {key}", {"sent": key.encode().hex()})
    if how == "refuse":
        raise Refusal(f"the bank does not like {key}")
    return {
        "plain": f"Bearer {key}",
        key: "as a name",
        "basic": base64.b64encode(f"placet:{key}".encode()).decode(),
        "deep": [{"secret": str(dict(call.secret)), "bytes": key.encode().hex()}],
    }


@tool(
    effect="keyed",
    money=Money(amount="amount_minor", currency="currency", payee="iban"),
    secret="bank/payments",
    retry=SOON,
)
def wire_out(call: Any, *, iban: str, amount_minor: int, currency: str) -> dict[str, Any]:
    """Moves money with a key."""
    if pop_switch("wire-fails"):
        raise RuntimeError("the bank is out of order")
    digest = hashlib.sha256(call.secret["api_key"].encode()).hexdigest()
    note("wired", key=call.idempotency_key, amount_minor=amount_minor, key_sha256=digest)
    return {"wired": amount_minor}


@workflow("reading", version=1)
def reading(run: Any, *, account: str = "GB29") -> Any:
    """Reads one balance."""
    return run.call(read_balance, account=account)


@workflow("blabbing", version=1)
def blabbing(run: Any, *, how: str) -> Any:
    """Calls the tool that cannot keep a secret."""
    return run.call(blab, how=how)


@workflow("wiring", version=1)
def wiring(run: Any, *, amount_minor: int) -> Any:
    """Wires one amount."""
    return run.call(
        wire_out, iban="GB29NWBK60161331926819", amount_minor=amount_minor, currency="EUR"
    )
