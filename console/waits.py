"""What is answered when the database made somebody wait for too long.

Any process may hold the lock of a row, the one that runs agents' code too. The web gives up
after the time that its settings name; PostgreSQL has undone the transaction by then.
"""

from __future__ import annotations

import logging

import psycopg
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

logger = logging.getLogger(__name__)

IMPATIENCE = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)


def is_impatience(error: BaseException) -> bool:
    """Whether a lock, or a statement, took longer than this process waits."""
    return isinstance(error, OperationalError) and isinstance(error.__cause__, IMPATIENCE)


class BusyDatabase(MiddlewareMixin):
    """Pages: a sentence and 503 in place of a fault. (The API has its own words for it.)"""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not is_impatience(error):
            return None
        logger.warning("%s %s waited too long for the database.", request.method, request.path)
        # Without the request: what the other pages show would ask the database again.
        page = render_to_string("503.html")
        return HttpResponse(page, status=503, headers={"Retry-After": "5"})
