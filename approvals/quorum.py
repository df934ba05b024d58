"""Whether enough people have consented: thresholds, and distinct people for each of them.

The database counts by the same rule (`approvals_shortage` in `approvals.locks.seals`); the
executor counts here, over the approvals that it has verified itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One human being's approval, and which thresholds (from 0) they fit."""

    human: str
    thresholds: frozenset[int]


def shortage(needs: dict[str, Any], voices: Iterable[Voice]) -> str:
    """What is missing, as `have/need`; empty when enough have consented.

    `needs` is what the policy's rule says then. With mode "any" one threshold is enough. With
    "all" there must be distinct people for all of them: by Hall's marriage theorem there are,
    when every set of thresholds has as many people among it as it asks for.
    """
    consent = needs.get("consent")
    if consent is None:
        return "" if "allow" in needs else "0/1"
    counts = [max(1, threshold["count"]) for threshold in consent["thresholds"]]
    heard = list(voices)
    if not counts:
        return "0/1"
    if consent["mode"] == "any":
        present = [_present(heard, {index}) for index in range(len(counts))]
        if any(have >= need for have, need in zip(present, counts, strict=True)):
            return ""
        return f"{max(present)}/{min(counts)}"
    for subset in _subsets(range(len(counts))):
        need, have = sum(counts[index] for index in subset), _present(heard, set(subset))
        if have < need:
            return f"{have}/{need}"
    return ""


def _present(voices: list[Voice], thresholds: set[int]) -> int:
    return len({voice.human for voice in voices if voice.thresholds & thresholds})


def _subsets(indexes: range) -> Iterable[tuple[int, ...]]:
    """All but the empty one, the largest first: what is missing on the whole is told first."""
    sizes = range(len(indexes), 0, -1)
    return chain.from_iterable(combinations(indexes, size) for size in sizes)


def fewest(needs: dict[str, Any]) -> int:
    """The fewest people who could satisfy it; 0 where nobody is asked."""
    consent = needs.get("consent")
    if consent is None:
        return 0
    counts = [threshold["count"] for threshold in consent["thresholds"]]
    return min(counts) if consent["mode"] == "any" else sum(counts)


def asked_in_words(needs: dict[str, Any]) -> str:
    """Who is asked: the groups and roles of the thresholds."""
    consent = needs.get("consent") or {"mode": "all", "thresholds": []}
    names = [
        f"the group {one['group']!r}" if one["group"] else f"the role {one['role']!r}"
        for one in consent["thresholds"]
    ]
    word = " or " if consent["mode"] == "any" else " and "
    return word.join(dict.fromkeys(names)) or "nobody"
