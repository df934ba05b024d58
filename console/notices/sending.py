"""The two ways out: a webhook signed as Standard Webhooks say, or a message through apprise.

What the receiver says decides whether the step is tried again: 2xx is done, 429 and 503 are "not
now" and their Retry-After is honoured, any other 4xx and every redirect is a definitive no. After
anything else nobody knows, and the same notice goes out again under the same number.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import standardwebhooks

from approvals.models import Channel, Notice
from console.notices import payloads
from credentials import redaction
from runs.errors import Refusal, RetryLater

TIMEOUT_SECONDS = 15.0
NOT_NOW = frozenset({408, 409, 425})
BUSY = frozenset({429, 503})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PART = re.compile(r"[^/?&=:@#]{8,}")


def deliver(*, notice: str, channel: str, secret: Mapping[str, str]) -> dict[str, str]:
    """Tells one channel of one notice. Raises `Refusal`, `RetryLater`, or what went wrong."""
    told = Notice.objects.filter(pk=notice, channels__contains=[channel]).first()
    place = Channel.objects.filter(pk=channel).first()
    if told is None or place is None or told.tenant != place.tenant:
        raise Refusal("There is no such notice for this channel.")
    if place.removed_at or (place.paused_at and told.kind != Notice.Kind.TEST):
        raise Refusal("The channel was paused or removed before the notice went out.")
    with hiding(secret["url"]):
        if place.way == Channel.Way.WEBHOOK:
            return post(told, secret["url"], secret["key"])
        return say(told, secret["url"])


@contextmanager
def hiding(url: str) -> Iterator[None]:
    """Parts of a secret address are secret as well: libraries log and quote them one by one."""
    parts = urlsplit(url)
    rest = f"{parts.username or ''}/{parts.password or ''}/{parts.path}?{parts.query}"
    found = {*PART.findall(rest), *PART.findall(unquote(rest))}
    with redaction.holding("notices", {f"part-{n}": part for n, part in enumerate(sorted(found))}):
        yield


def post(notice: Notice, url: str, key: str) -> dict[str, str]:
    """Sends the webhook. Its number is the notice's, so that a receiver drops repeats."""
    check_webhook(url, key)
    body, now = payloads.body(notice), datetime.now(UTC)
    signature = standardwebhooks.Webhook(str(key)).sign(str(notice.id), now, body)
    headers = {
        "content-type": "application/json",
        "webhook-id": str(notice.id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    # A proxy of the surroundings may not see it; a redirect would send it to another's address.
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        try:
            answer = client.post(str(url), content=body.encode(), headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise RetryLater("The receiver cannot be reached; nothing was sent.") from None
        except httpx.TransportError as error:
            raise Undelivered(f"The receiver broke off ({type(error).__name__}).") from None
    return _read(answer)


class Undelivered(Exception):
    """Nobody knows whether the notice arrived."""


def _read(answer: httpx.Response) -> dict[str, str]:
    status = answer.status_code
    if answer.is_success:
        return {"answer": str(status)}
    if status in BUSY:
        raise RetryLater(f"The receiver is busy ({status}).", _seconds(answer))
    if status in NOT_NOW or status >= 500:
        raise Undelivered(f"The receiver failed ({status}).")
    if answer.is_redirect:
        raise Refusal(f"The receiver redirects ({status}): its own address must be written.")
    raise Refusal(f"The receiver refused the notice ({status}).")


def _seconds(answer: httpx.Response) -> float | None:
    """What its `Retry-After` says, in seconds or as a date (RFC 9110, 10.2.3)."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit() and len(given) <= 9:
        return int(given)
    try:
        at = parsedate_to_datetime(given)
    except (TypeError, ValueError):
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def check_webhook(url: str, key: str) -> None:
    """Raises `Refusal` for an address or a key that no webhook can be sent with."""
    parts = urlsplit(str(url))
    is_near = parts.hostname in LOOPBACK
    if not parts.hostname or parts.scheme not in (("https", "http") if is_near else ("https",)):
        raise Refusal("The address of a webhook begins with https://; http only for this machine.")
    try:
        standardwebhooks.Webhook(str(key))
    except Exception:
        raise Refusal("The signing key is not one of Standard Webhooks: whsec_… .") from None
    if not str(key).startswith("whsec_"):
        raise Refusal("The signing key is not one of Standard Webhooks: whsec_… .")


def say(notice: Notice, url: str) -> dict[str, str]:
    """Sends the message, by whatever service the address names."""
    service = service_of(url)
    sender = _apprise().Apprise(asset=service.asset)
    sender.add(service)
    is_sent = sender.notify(
        title=payloads.headline(notice), body=payloads.text(notice), body_format="text"
    )
    if not is_sent:
        raise Undelivered("The service for messages did not say that it took the notice.")
    return {"answer": "sent"}


def service_of(url: str) -> Any:
    """The service that an address names. Raises `Refusal` where there is none."""
    apprise = _apprise()
    asset = apprise.AppriseAsset(plugin_paths=[], storage_mode=apprise.PersistentStoreMode.MEMORY)
    service = apprise.Apprise.instantiate(str(url), asset=asset, suppress_exceptions=True)
    if service is None:
        raise Refusal("The address is none that apprise knows, such as mailtos://… or slack://… .")
    return service


@cache
def _apprise() -> Any:
    """The library with all its services, which take a second to import; most processes never do."""
    with warnings.catch_warnings():
        # One of its services still imports what Python is about to take away.
        warnings.simplefilter("ignore")
        import apprise

        apprise.Apprise.instantiate("json://localhost")
    # What apprise logs quotes addresses and answers: what became of a notice, its step says.
    logging.getLogger("apprise").disabled = True
    return apprise
