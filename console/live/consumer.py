"""The socket of one open page: it carries hints, and nothing that anybody could act on."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer

from console.live.listener import EVERYBODY, ensure_listening, group_of
from console.models import User
from console.roles import may

LIFETIME_SECONDS = 15 * 60
"""After about this long the page connects again, and proves again who it is."""


class LiveConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Signed-in people get the hints of their own tenant. What a page sends is not read."""

    groups_joined: tuple[str, ...] = ()

    async def connect(self) -> None:
        person = self.scope.get("user")
        if not isinstance(person, User) or not await database_sync_to_async(may)(
            person, "runs.view"
        ):
            await self.close()
            return
        self.groups_joined = (group_of(person.tenant), EVERYBODY)
        for group in self.groups_joined:
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()
        ensure_listening()
        lifetime = LIFETIME_SECONDS * random.uniform(0.8, 1.2)
        self._end = asyncio.get_running_loop().call_later(
            lifetime, lambda: asyncio.ensure_future(self.close())
        )

    async def disconnect(self, code: int) -> None:
        if self.groups_joined:
            self._end.cancel()
        for group in self.groups_joined:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(self, *_: Any, **__: Any) -> None:
        """A page has nothing to say here."""

    async def hint(self, event: dict[str, Any]) -> None:
        await self.send_json(event["hint"])


class NoSuchPlace(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Refuses a socket at any other path; the router alone would answer with a traceback."""

    async def connect(self) -> None:
        await self.close()
