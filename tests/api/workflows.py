"""A workflow whose payment is all in its input, so that a caller can try to spoil it."""

from __future__ import annotations

from typing import Any

from runs import workflow
from tests.zoo import pay


@workflow("paying_to", version=1)
def paying_to(run: Any, *, payee: str, amount_minor: int, currency: str) -> Any:
    """Pays one sum."""
    return run.call(pay, iban=payee, amount_minor=amount_minor, currency=currency, reference="one")
