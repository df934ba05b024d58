"""What is wrong with a policy, place by place, and how its parts are read."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

from approvals import limits
from approvals.errors import PolicyRefused
from runs import canonical
from runs.declare import pointer, shortened

Place = tuple[str | int, ...]
REQUIRED: Final[Any] = object()
"""The default of what must be there."""


class InvalidPolicy(PolicyRefused):
    """The document is no policy. `errors` names each fault as (JSON pointer, sentence)."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__(" ".join(f"{at or 'The policy'}: {said}" for at, said in errors))
        self.errors = list(errors)


class Faults:
    """The faults found so far, so that an author reads all of them at once."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, at: Place, sentence: str) -> None:
        """Adds one; those beyond `limits.MAX_POLICY_FAULTS` are not told."""
        if len(self.found) < limits.MAX_POLICY_FAULTS:
            self.found.append((pointer(shown(part, 64) for part in at), sentence))

    def check(self) -> None:
        """Raises `InvalidPolicy` when there are any."""
        if self.found:
            raise InvalidPolicy(self.found)

    def text(self, value: Any, at: Place, most: int) -> str:
        """A text that people see as it is: NFC, one line, no hidden character."""
        if not isinstance(value, str):
            self.add(at, f"This must be text, not {kind_of(value)}.")
            return ""
        hidden = [c for c in value if unicodedata.category(c) in canonical.REFUSED_CATEGORIES]
        hidden += [c for c in value if c in canonical.INVISIBLE]
        if hidden:
            self.add(
                at,
                f"The character U+{ord(hidden[0]):04X} is invisible or changes the reading"
                " direction, so it cannot be part of a policy.",
            )
            return ""
        spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in value)
        text = unicodedata.normalize("NFC", spaced).strip()
        if not text:
            self.add(at, "This must not be empty.")
        elif len(text) > most:
            self.add(at, f"This has {len(text)} characters; at most {most} are kept.")
        return text[:most]

    def texts(self, value: Any, at: Place, *, most: int, each: int) -> list[str]:
        """One or several texts, whose order has no meaning: sorted, each once."""
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list):
            self.add(at, f"This must be a list of texts, not {kind_of(value)}.")
            return []
        if not 1 <= len(given) <= most:
            self.add(at, f"This must name from 1 to {most}; it names {len(given)}.")
            return []
        return sorted({self.text(one, (*at, no), each) for no, one in enumerate(given)})

    def integer(self, value: Any, at: Place, least: int, most: int) -> int:
        """A whole number between two others, these included."""
        if isinstance(value, bool) or not isinstance(value, int):
            self.add(at, f"This must be a whole number, not {kind_of(value)}.")
        elif not least <= value <= most:
            self.add(at, f"This must be from {least} to {most}.")
        else:
            return value
        return least


class Form:
    """One mapping of the document, read key by key; what nobody knows is a fault."""

    def __init__(self, faults: Faults, at: Place, value: Any, known: Sequence[str]) -> None:
        self.faults = faults
        self.at = at
        self.value: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            faults.add(at, f"This must be a mapping, not {kind_of(value)}.")
        for key in self.value:
            if key not in known:
                faults.add((*at, key), f"This is not known here; known are {', '.join(known)}.")

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def place(self, key: str | int) -> Place:
        return (*self.at, key)

    def fault(self, key: str, sentence: str) -> None:
        self.faults.add(self.place(key), sentence)

    def get(self, key: str, default: Any = REQUIRED) -> Any:
        """The value as it was given; a fault where it must be there and is not."""
        value = self.value.get(key, default)
        if value is REQUIRED:
            self.fault(key, "This is missing.")
        return value

    def text(self, key: str, most: int = 0, *, default: Any = REQUIRED) -> str:
        value = self.get(key, default)
        most = most or limits.MAX_POLICY_NAME
        return "" if value is REQUIRED else self.faults.text(value, self.place(key), most)

    def integer(self, key: str, least: int, most: int, *, default: Any = REQUIRED) -> int:
        value = self.get(key, default)
        if value is REQUIRED:
            return least
        return self.faults.integer(value, self.place(key), least, most)

    def boolean(self, key: str, *, default: Any = REQUIRED) -> bool:
        value = self.get(key, default)
        if value is REQUIRED or isinstance(value, bool):
            return value is True
        self.fault(key, f"This must be true or false, not {kind_of(value)}.")
        return False

    def choice(self, key: str, options: Sequence[str], *, default: Any = REQUIRED) -> str:
        value = self.get(key, default)
        if value is not REQUIRED and value not in options:
            self.fault(key, f"This must be one of {', '.join(options)}.")
        return value if value in options else options[0]

    def items(
        self, key: str, least: int, most: int, *, default: Any = REQUIRED
    ) -> Iterator[tuple[Place, Any]]:
        """The parts of a list with their places; a single mapping stands for a list of one."""
        value = self.get(key, default)
        if value is REQUIRED:
            return
        value = [value] if isinstance(value, dict) and least else value
        if not isinstance(value, list):
            self.fault(key, f"This must be a list, not {kind_of(value)}.")
        elif not least <= len(value) <= most:
            self.fault(key, f"This must have from {least} to {most} parts; it has {len(value)}.")
        else:
            yield from (((*self.at, key, no), one) for no, one in enumerate(value))


def kind_of(value: Any) -> str:
    """What a value is, in words for somebody who wrote it in YAML or JSON."""
    for kind, words in (
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number with a fraction"),
        (str, "text"),
        (list, "a list"),
        (dict, "a mapping"),
    ):
        if isinstance(value, kind):
            return f"{words} ({shown(value)})" if kind in (bool, int, float, str) else words
    return "nothing" if value is None else f"a {type(value).__name__}"


def shown(value: Any, most: int = 32) -> str:
    """A value as a message may carry it: short, and with nothing hidden."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a very long number"
    text = value if isinstance(value, str) else str(value)
    return shortened("".join(c if c.isprintable() else "?" for c in text[: most + 1]), most)
