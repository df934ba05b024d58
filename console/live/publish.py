"""Hints to open pages, out of any process: "look again at this run or gate".

`publish` puts the hint aside and returns. One daemon thread a process sends what has
gathered within 50 ms, so that a run of a thousand steps is a handful of messages. A hint that
cannot be sent is dropped: pages also look by themselves, only later.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from uuid import UUID

import redis
from django.conf import settings

CHANNEL = "placet:live"
GATHER_SECONDS = 0.05
PAUSE_SECONDS = 1.0
"""How long nothing is sent after Valkey could not be reached."""
MAX_GATHERED = 10_000
"""Hints that are kept while none can be sent; beyond that, new ones are dropped."""

logger = logging.getLogger(__name__)


class Publisher:
    """Gathers hints and sends them from its own thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._gathered: dict[tuple[str, str, str], int] = {}
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        threading.Thread(target=self._send_for_ever, name="placet-live", daemon=True).start()

    def put(self, tenant: str, subject: str, id: str, seq: int) -> None:
        """Never blocks: the newest sequence number of each subject is enough."""
        key = (tenant, subject, id)
        with self._lock:
            if key in self._gathered or len(self._gathered) < MAX_GATHERED:
                self._gathered[key] = max(seq, self._gathered.get(key, 0))
        self._wanted.set()

    def _take(self) -> dict[tuple[str, str, str], int]:
        with self._lock:
            taken, self._gathered = self._gathered, {}
        return taken

    def _send_for_ever(self) -> None:
        client = redis.Redis.from_url(
            self._url, socket_timeout=2, socket_connect_timeout=2, retry=None
        )
        while True:
            self._wanted.wait()
            # Gathered first, so that whoever changed something is done with it before this thread
            # takes processor and interpreter from them: a payment is several changes in a row.
            time.sleep(GATHER_SECONDS)
            self._wanted.clear()
            try:
                self._send(client)
            except Exception as error:
                # Whatever it is, this thread lives on: nobody would start it again.
                logger.debug("Hints to open pages were dropped: %s", error)
                time.sleep(PAUSE_SECONDS)

    def _send(self, client: redis.Redis) -> None:
        pipeline = client.pipeline(transaction=False)
        for (tenant, subject, id), seq in self._take().items():
            hint = {"tenant": tenant, "subject": subject, "id": id, "seq": seq}
            pipeline.publish(CHANNEL, json.dumps(hint))
        pipeline.execute()


_publisher: Publisher | None = None
_pid = 0
_making = threading.Lock()


def publish(tenant: str, subject: str, id: UUID, seq: int) -> None:
    """Hint that a run or gate has changed. Never blocks, never raises, may be lost."""
    try:
        _own_publisher().put(tenant, subject, str(id), seq)
    except Exception as error:
        logger.debug("A hint to open pages was dropped: %s", error)


def _own_publisher() -> Publisher:
    """The publisher of this very process: threads do not survive a fork."""
    global _publisher, _pid
    if _publisher is None or _pid != os.getpid():
        with _making:
            if _publisher is None or _pid != os.getpid():
                _publisher, _pid = Publisher(settings.PLACET_LIVE_URL), os.getpid()
    return _publisher


def _after_fork() -> None:
    # A lock that another thread held at the fork would stay held for ever.
    global _publisher, _making
    _publisher, _making = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
