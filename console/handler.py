"""One request, one thread: the pages and the API are plain functions that wait for the database."""

from __future__ import annotations

from typing import Any

from django.core.handlers.asgi import ASGIHandler


class OneThreadHandler(ASGIHandler):
    """Django's handler for ASGI, whose middleware and views run together in a request's thread.

    Left to itself it calls each of them from the event loop, and so hands every request from
    thread to thread a dozen times, which took more than most middleware does.
    """

    _middleware_chain: Any

    def load_middleware(self, is_async: bool = False) -> None:
        # Django asks for them to be called from the event loop; none of them is.
        super().load_middleware(is_async=False)
        self._middleware_chain = self.adapt_method_mode(True, self._middleware_chain)
