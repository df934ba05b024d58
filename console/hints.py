"""What Celery may be told by a message: that there may be work, and the id to begin with.

Every process holds the broker's password, the one that runs agents' code too. Celery would
obey what else a message says: a time limit that kills a child in the middle of a payment,
a later time, tasks to be called afterwards. None of it is read here.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from celery import Task
from celery.exceptions import InvalidTaskError
from celery.worker.request import Request
from django.conf import settings

TASKS = {"runs": "runs.advance", "effects": "runs.execute", "gates": "approvals.keep"}
QUEUES = {"worker": "runs", "executor": "effects", "gatekeeper": "gates"}
TRACE_HEADERS = ("traceparent", "tracestate")


class Hint(Request):  # type: ignore[misc]
    """A message, reduced to the id that it carries."""

    def __init__(
        self,
        message: Any,
        *,
        body: Any = None,
        headers: Mapping[str, Any] | None = None,
        decoded: bool = False,
        **options: Any,
    ) -> None:
        given = message.headers if headers is None else headers
        # A message's own id is nothing to rely on: two may carry the same.
        kept = {"id": str(uuid.uuid4()), "task": _task(given), "ignore_result": True}
        kept |= {n: given[n] for n in TRACE_HEADERS if isinstance(given.get(n), str)}
        told: tuple[Any, ...] = ((_id(body if decoded else message.payload),), {}, {})
        super().__init__(message, body=told, headers=kept, decoded=True, **options)
        # Nobody is answered.
        self._request_dict.update(reply_to=None, correlation_id=self.id, properties={})


class HintTask(Task):  # type: ignore[misc]
    """The base of every task, those included that Celery brings along."""

    Request = Hint


def _task(headers: Mapping[str, Any]) -> str:
    """The one task of this process; raises `InvalidTaskError` for any other."""
    expected = TASKS.get(QUEUES.get(settings.PLACET_PROCESS, ""))
    if headers.get("task") != expected:
        raise InvalidTaskError("The message names a task that this process does not have.")
    return str(expected)


def _id(payload: Any) -> str:
    try:
        args, *_ = payload
        (given,) = args
        return str(uuid.UUID(given))
    except (TypeError, ValueError, AttributeError):
        raise InvalidTaskError("The message carries no id.") from None
