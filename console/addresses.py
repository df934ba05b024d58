"""Addresses that are secrets: what opens something by being known stays out of logs and traces."""

from __future__ import annotations

import logging
import re

_TOKEN = re.compile(r"(/completions/)[^/\s?#'\"<>]+")


def without_tokens(text: str) -> str:
    """The text, with the token of each completion in it left out."""
    return _TOKEN.sub(r"\1...", text) if "/completions/" in text else text


class TokenFilter(logging.Filter):
    """Django logs the path of each call that it refuses, and a refused token may still be good."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage() if record.args else str(record.msg)
        except Exception:
            # A line that does not fit its arguments is the handler's matter; it must not
            # become an error of whoever logs it.
            return True
        if "/completions/" in message:
            record.msg, record.args = without_tokens(message), None
        return True
