"""The web process's one ear: what is published by any process reaches the open sockets.

Valkey's pub/sub forgets: what was said while nobody listened is gone. After each new
subscription every socket is therefore told to look again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
from typing import Any

import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings

from console.live.publish import CHANNEL

EVERYBODY = "live"
BASE_SECONDS = 0.2
CAP_SECONDS = 5.0

logger = logging.getLogger(__name__)
_tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}


def group_of(tenant: str) -> str:
    """The channel layer's group of a tenant; hashed, because group names allow few letters."""
    return f"live.{hashlib.sha256(tenant.encode()).hexdigest()[:32]}"


def ensure_listening() -> None:
    """Start the listener of this event loop unless it runs. Called by each new socket."""
    loop = asyncio.get_running_loop()
    task = _tasks.get(loop)
    if task is None or task.done():
        _tasks[loop] = loop.create_task(_listen_for_ever(), name="placet-live-listener")


async def _listen_for_ever() -> None:
    failures = 0
    while True:
        try:
            async for hint in _hints():
                failures = 0
                await _hand_out(hint)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failures += 1
            if failures == 1:
                logger.warning("Live updates pause: %s. Pages look by themselves.", error)
        await asyncio.sleep(
            random.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2 ** min(failures, 10)))
        )


async def _hints() -> Any:
    client = redis.asyncio.Redis.from_url(settings.PLACET_LIVE_URL, health_check_interval=10)
    async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(CHANNEL)
        yield None
        async for message in pubsub.listen():
            yield message["data"]


async def _hand_out(raw: bytes | None) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    if raw is None:
        await layer.group_send(EVERYBODY, {"type": "hint", "hint": {"subject": "all"}})
        return
    try:
        hint = json.loads(raw)
        tenant = hint.pop("tenant")
        message = {"type": "hint", "hint": {k: hint[k] for k in ("subject", "id", "seq")}}
    except (ValueError, KeyError, TypeError, AttributeError):
        # Others may share the server; what is not a hint is none of ours.
        return
    await layer.group_send(group_of(str(tenant)), message)
