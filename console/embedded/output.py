"""What a person sees of a running Placet: one stream of lines, each with its origin."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO

# Bright enough on dark and dark enough on light terminals.
COLOURS = ("36", "33", "35", "32", "34", "31")
SELF = "placet"
# A log line is text: it may not move the cursor, retitle the terminal or hide what follows.
ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Output:
    """Prints lines behind aligned prefixes; in colour only for a person at a terminal."""

    def __init__(self, stream: TextIO | None = None, *, width: int = 10) -> None:
        self.stream = stream or sys.stdout
        self.width = width
        self.is_coloured = self.stream.isatty() and not os.environ.get("NO_COLOR")
        self._colours: dict[str, str] = {SELF: "1"}

    def say(self, text: str) -> None:
        """A line of the supervisor itself."""
        self.line(SELF, text)

    def line(self, origin: str, text: str) -> None:
        text = CONTROL.sub("\N{REPLACEMENT CHARACTER}", ESCAPE_SEQUENCE.sub("", text.rstrip()))
        self._write(f"{self._prefix(origin)} {text}\n")

    def block(self, text: str) -> None:
        """Several lines without a prefix, set off by empty ones."""
        self._write(f"\n{text}\n\n")

    def _prefix(self, origin: str) -> str:
        plain = f"{origin:<{self.width}} |"
        if not self.is_coloured:
            return plain
        colour = self._colours.setdefault(origin, COLOURS[(len(self._colours) - 1) % len(COLOURS)])
        return f"\x1b[{colour}m{plain}\x1b[0m"

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except UnicodeEncodeError:
            self.stream.write(text.encode("ascii", "replace").decode())
        except (BrokenPipeError, OSError):
            # Nobody reads any more; that is no reason to let payments stand still.
            self.stream = open(os.devnull, "w")  # noqa: SIM115
