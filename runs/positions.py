"""Positions: where a step stands in its run, and where what follows from it stands.

A workflow numbers its calls from 0. What people or the engine add to a step has a place of its
own beside it, so that no number is ever taken twice: a step that takes the place of another
with other arguments, and the undo of a step.
"""

from __future__ import annotations

REPLACEMENT = 10_000
"""From a step to the one that takes its place; also above every position a workflow counts."""

UNDO = 1_000_000
"""From a step to its undo."""


def original(position: int) -> int:
    """The position that the workflow's code counted."""
    return position % UNDO % REPLACEMENT


def replacement(position: int) -> int:
    """The position of the next step in the place of this one."""
    return position + REPLACEMENT


def replacements(position: int) -> int:
    """How many steps stood in this place before."""
    return position % UNDO // REPLACEMENT


def undo(position: int) -> int:
    """The position of the undo of the step at this one."""
    return UNDO + position


def is_undo(position: int) -> bool:
    return position >= UNDO
