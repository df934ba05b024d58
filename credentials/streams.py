"""What a tool prints: held values are taken out of it on its way to the process's output.

Logging has its filter; `print`, `traceback.print_exc`, warnings and the excepthook of a
thread have only these two streams. Written to the file descriptor itself, or by a program
that the tool starts, a value is not seen here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from credentials.redaction import scrub_text


class ScrubbedStream:
    """A text stream that writes nothing that is held; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(scrub_text(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_streams() -> None:
    """Put standard output and standard error behind the scrubber. May be called again."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, ScrubbedStream):
            setattr(sys, name, ScrubbedStream(stream))
