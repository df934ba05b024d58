"""Names that are Placet's own, and secrets that an argument of a step names.

A workflow or tool called `placet.…` belongs to Placet itself: no author declares one, no person
and no agent starts one, and none of them moves money or asks anybody for consent.
"""

from __future__ import annotations

import re
from typing import Any

from runs import limits

PREFIX = "placet."
NOTIFY = "placet.notify"
"""The workflow that delivers notices; the gatekeeper alone starts runs of it."""
DELIVER = "placet.deliver"
"""The tool of its steps."""
OWN = (NOTIFY, DELIVER)
BY_PAGE = "page-"
"""What the keys of runs and signals begin with that a page has asked for."""

_PLACE = re.compile(r"\{(\w+)\}")
_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
MAX_NAME_IN_SECRET = 63


def is_own(name: str) -> bool:
    """Whether the name is one of Placet's own, or would be."""
    return name.startswith(PREFIX)


def check_name(name: str) -> None:
    """Raises `ValueError` for a name that only Placet may use, and does not."""
    if is_own(name) and name not in OWN:
        raise ValueError(f"{name}: names that begin with {PREFIX!r} are Placet's own.")


def check_agent(agent: str) -> None:
    """Raises `ValueError` for what cannot be the name of an agent; empty where there is none."""
    is_plain = agent.isprintable() and agent == agent.strip()
    if len(agent) > limits.MAX_AGENT_CHARACTERS or not is_plain:
        raise ValueError(
            f"The agent {agent!r}: a name has at most {limits.MAX_AGENT_CHARACTERS} printable"
            " characters, with no space around them."
        )


def places_in(secret: str) -> list[str]:
    """The arguments that a tool's `secret=` leaves open: of `notices/{channel}`, `channel`."""
    return _PLACE.findall(secret)


def secret_of(secret: str, arguments: dict[str, Any]) -> str:
    """The path of the secret that a step with these arguments uses.

    Raises `ValueError` where an argument cannot be one part of a path.
    """

    def filled(place: re.Match[str]) -> str:
        value = arguments.get(place[1])
        is_name = isinstance(value, str) and len(value) <= MAX_NAME_IN_SECRET
        if not is_name or not _NAME.fullmatch(str(value)):
            raise ValueError(f"The argument {place[1]} cannot name a secret.")
        return str(value)

    return _PLACE.sub(filled, secret)
