"""A limit on what any request may bring, kept before Django takes it in.

Django measures what `Content-Length` says; a body that comes in chunks says nothing, and
would be spooled to disk, whatever its length, before anybody asked who sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from console import strictjson
from console.api.problems import PATH_PREFIX, respond
from console.api.strict import too_large

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BYTES = strictjson.MAX_BYTES
# A caller who is still sending often does not see the answer, so a bounded rest is let in
# and dropped first.
MAX_DROPPED_BYTES = 16 * MAX_BYTES


def limit_bodies(application: Application) -> Application:
    """The application, called only with requests of at most `MAX_BYTES`; others get 413."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        body, is_whole = await _read(receive)
        if body is None:
            await _refuse(scope, send)
        elif is_whole:
            await application(scope, _again(body, receive), send)

    return limited


async def _read(receive: Receive) -> tuple[bytes | None, bool]:
    """The body, or None when it is too long; and whether the caller stayed to its end."""
    chunks: list[bytes] = []
    size = 0
    while size <= MAX_DROPPED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"", False
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BYTES:
            chunks.append(chunk)
        else:
            chunks.clear()
        if not message.get("more_body", False):
            break
    return (b"".join(chunks) if size <= MAX_BYTES else None), True


def _again(body: bytes, receive: Receive) -> Receive:
    """The body in one message, and after it whatever else the server has to say."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


async def _refuse(scope: Scope, send: Send) -> None:
    response = respond(too_large())
    if not scope["path"].startswith(PATH_PREFIX):
        response.content = too_large().detail.encode()
        response.headers["Content-Type"] = "text/plain; charset=utf-8"
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    headers += [(b"content-length", str(len(response.content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})
