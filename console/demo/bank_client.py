"""How Placet speaks to the bank. What the bank says decides whether a step is tried again."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from runs.errors import Refusal, RetryLater

TIMEOUT_SECONDS = 15.0
MAX_DETAIL_LENGTH = 300
# A 4xx that says "not now" and not "no".
NOT_NOW = frozenset({408, 409, 425})
# The one that also says that nothing was done.
TOO_MANY = 429


class BankClient:
    """A session with the bank under one API key."""

    def __init__(self, *, url: str, api_key: str) -> None:
        if not urlsplit(url).hostname:
            raise Refusal("No bank is set up: PLACET_DEMO_BANK_URL names none.")
        # A proxy of the surroundings may not see the key.
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def pay(self, *, key: str, order: dict[str, Any]) -> dict[str, Any]:
        """The bank's receipt for an order; the same one for the same key and order.

        Raises `Refusal` for a definitive no, `RetryLater` for a definitive "not now". Any other
        exception leaves open whether the payment was made, and is answered by asking again with
        the same key.
        """
        return _answer(self._http.post("/payments", json=order, headers={"Idempotency-Key": key}))

    def find_payments(self, *, reference: str) -> list[dict[str, Any]]:
        """The payments that carry a reference, oldest first."""
        found = _answer(self._http.get("/payments", params={"reference": reference}))
        return list(found["items"])


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == TOO_MANY:
        raise RetryLater(f"The bank is busy (429): {_detail(response)}", _named_seconds(response))
    if response.is_client_error and response.status_code not in NOT_NOW:
        raise Refusal(f"The bank refused ({response.status_code}): {_detail(response)}")
    response.raise_for_status()
    return dict(response.json())


def _named_seconds(response: httpx.Response) -> int | None:
    """What its `Retry-After` says in seconds; None where it is missing, or names a date."""
    given = response.headers.get("Retry-After", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 9 else None


def _detail(response: httpx.Response) -> str:
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = "it gave no reason."
    return detail[:MAX_DETAIL_LENGTH]
