"""Hints past Celery: a child with nothing to do listens at Valkey itself for the next one.

A message of Celery's is carried by two processes and takes 4 ms; one that a child takes from
Valkey with its own hands takes less than one. So a message only begins a child's work: from then
on it listens, for `LISTEN_SECONDS`. While anybody of a queue listens, hints are put into its list
there; otherwise Celery carries them as ever. What is lost on the way, the sweeps find.
"""

from __future__ import annotations

import functools
import logging
import mmap
import os
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from console import tracing
from runs import limits

WAIT_SECONDS = 0.5
"""How long one wait at Valkey lasts, and so how long a process that is to end waits for it."""
MARK_SECONDS = 30
"""How long after a process of theirs was last known to live hints are still put into the list."""
MARK_AGAIN_SECONDS = 5.0
MOST = 100
"""Hints in a list. Beyond that the oldest are dropped: whoever comes next goes on with whatever
is ready, and a process that forges hints fills no memory."""
TIMEOUT_SECONDS = 2.0
NOBODY = UUID(int=0)
"""What a message names that is there only to let a child begin to listen."""

logger = logging.getLogger(__name__)

# Told by the parent to its children, who are forked with it.
_ends = mmap.mmap(-1, 1)
_marks_at = 0.0


@functools.cache
def is_possible() -> bool:
    """Whether hints may go past Celery: not through another kind of broker, and not where
    traces are asked for, whose spans are those of Celery's messages."""
    is_valkey = settings.PLACET_BROKER_URL.startswith(("redis://", "rediss://"))
    return is_valkey and not tracing.is_asked_for(os.environ) and _is_understood()


def _is_understood() -> bool:
    """Whether the broker's address says nothing that Celery alone understands."""
    try:
        pool = _client().connection_pool
        pool.connection_class(**pool.connection_kwargs)
    except (redis.RedisError, TypeError, ValueError) as error:
        logger.warning("Hints go through Celery alone: PLACET_BROKER_URL: %s", error)
        return False
    return True


@functools.cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.PLACET_BROKER_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_keepalive=True,
        retry=None,
    )


def tell(queue: str, id: UUID) -> bool:
    """Puts a hint where the children of a queue listen; False when none does, or none may.

    Raises `redis.RedisError` when Valkey is away.
    """
    if not is_possible():
        return False
    pipeline = _client().pipeline(transaction=False)
    pipeline.lpush(_list_of(queue), str(id))
    pipeline.ltrim(_list_of(queue), 0, MOST - 1)
    pipeline.exists(_mark_of(queue))
    return bool(pipeline.execute()[-1])


def following(queue: str, first: UUID) -> Iterator[UUID | None]:
    """The hint of a message, and then those that come while this child listens. None stands for
    one that may have been missed, before anybody listened or while Valkey was away."""
    yield None if first == NOBODY else first
    if not is_possible():
        return
    parent, until = os.getppid(), time.monotonic() + limits.LISTEN_SECONDS
    # Of several messages that only let a child listen, one is enough.
    looks_at = 0.0 if first == NOBODY else time.monotonic() + MARK_AGAIN_SECONDS
    while not _ends[0] and time.monotonic() < until and os.getppid() == parent:
        try:
            if time.monotonic() > looks_at:
                looks_at = time.monotonic() + MARK_AGAIN_SECONDS
                if _messages_wait(queue):
                    return
            heard = _client().brpop([_list_of(queue)], timeout=WAIT_SECONDS)
        except redis.RedisError as error:
            logger.debug("Valkey is away: %s", error)
            time.sleep(WAIT_SECONDS)
            yield None
            continue
        id = None if heard is None else _id(heard[1])
        if id is not None:
            yield id


def mark(queue: str) -> None:
    """Says that children of this queue listen, or will when they have done what they are busy
    with. The parent says so, because they may be busy for long: meanwhile hints must not become
    messages that nobody takes. Raises `redis.RedisError` when Valkey is away."""
    global _marks_at
    if time.monotonic() > _marks_at:
        _client().set(_mark_of(queue), 1, ex=MARK_SECONDS)
        _marks_at = time.monotonic() + MARK_AGAIN_SECONDS


def _messages_wait(queue: str) -> bool:
    """Whether Celery has messages for which no child is free, as before anybody listened."""
    return bool(_client().llen(queue))


def end() -> None:
    """Lets the children of this process listen no longer: it is to end."""
    _ends[0] = 1


def _id(told: Any) -> UUID | None:
    """Everybody has Valkey's password, so a hint is an id or nothing."""
    try:
        return UUID(bytes(told).decode())
    except ValueError:
        return None


def _list_of(queue: str) -> str:
    return f"placet:hints:{queue}"


def _mark_of(queue: str) -> str:
    return f"placet:listening:{queue}"
