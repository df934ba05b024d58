"""What the measured runs do."""

from __future__ import annotations

import time
from typing import Any

from runs import Money, tool, workflow

PAYLOAD = "x" * 180
LONG_SECONDS = 2.0


@tool(effect="safe")
def tick(call: Any, *, number: int) -> dict[str, Any]:
    """A step that does nothing and returns about 200 bytes."""
    return {"number": number, "payload": PAYLOAD}


@workflow("ticking", version=1)
def ticking(run: Any, *, steps: int) -> int:
    """That many steps, one after the other."""
    return sum(1 for number in range(steps) if run.call(tick, number=number))


@workflow("awaiting_go", version=1)
def awaiting_go(run: Any) -> int:
    """Waits for a signal, then does one step."""
    run.wait_for("go")
    run.call(tick, number=1)
    return 1


@tool(effect="safe")
def bench_long(call: Any) -> int:
    """A step that is still busy when its process is killed."""
    time.sleep(LONG_SECONDS)
    return 1


@workflow("bench_long", version=1)
def long_step(run: Any) -> int:
    """One long step."""
    return int(run.call(bench_long))


@tool(effect="keyed", money=Money(amount="amount_minor", currency="currency", payee="iban"))
def transfer(call: Any, *, iban: str, amount_minor: int, currency: str) -> dict[str, Any]:
    """A payment to an outside that takes no time: what is measured is what leads to it."""
    return {"key": call.idempotency_key, "payload": PAYLOAD}


@workflow("transferring", version=1)
def transferring(run: Any, *, amount_minor: int = 9870) -> int:
    """Waits for people to consent to a payment, then does one step."""
    run.call(transfer, iban="GB29NWBK60161331926819", amount_minor=amount_minor, currency="EUR")
    run.call(tick, number=1)
    return 1
