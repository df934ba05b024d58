"""Hints: lossy messages that say "look again". Losing all of them costs latency only.

The console plugs in who sends them. A hint goes out after the transaction has committed
and never fails the caller: the sweeps find the work anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Literal
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from runs import prepared

Queue = Literal["runs", "effects", "gates"]
Sender = Callable[[Queue, UUID], None]
Publisher = Callable[[str, str, UUID, int], None]
Listener = Callable[[Queue, UUID], Iterable[UUID | None]]

logger = logging.getLogger(__name__)
_sender: Sender | None = None
_publisher: Publisher | None = None
_listener: Listener | None = None


def plug(sender: Sender | None) -> None:
    """Names the function that carries hints to the other processes."""
    global _sender
    _sender = sender


def plug_live(publisher: Publisher | None) -> None:
    """Names the function that tells open pages; it must not block."""
    global _publisher
    _publisher = publisher


def plug_listener(listener: Listener | None) -> None:
    """Names the function that goes on listening for hints once one has come."""
    global _listener
    _listener = listener


def following(queue: Queue, first: UUID) -> Iterator[UUID | None]:
    """A hint and those that follow it, for whoever works them off one after the other; None for
    hints that may have been missed."""
    for hint in [first] if _listener is None else _listener(queue, first):
        prepared.look_at_connections()
        yield hint


def hint(queue: Queue, id: UUID) -> None:
    """Once the current transaction has committed, hints that there is work."""
    if _sender is not None:
        transaction.on_commit(lambda: _send(queue, id), robust=True)


def show(tenant: str, subject: Literal["run", "gate"], id: UUID, seq: int) -> None:
    """Once the current transaction has committed, hints open pages to look again."""
    if _publisher is None:
        return
    if connections[DEFAULT_DB_ALIAS].in_atomic_block:
        transaction.on_commit(lambda: _publish(tenant, subject, id, seq), robust=True)
    else:
        _publish(tenant, subject, id, seq)


def _send(queue: Queue, id: UUID) -> None:
    try:
        if _sender is not None:
            _sender(queue, id)
    except Exception as error:
        logger.warning("A hint for %s was lost (%s); the sweep will find the work.", queue, error)


def _publish(tenant: str, subject: str, id: UUID, seq: int) -> None:
    try:
        if _publisher is not None:
            _publisher(tenant, subject, id, seq)
    except Exception as error:
        logger.warning("Open pages were not told of %s %s: %s", subject, id, error)
