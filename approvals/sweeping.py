"""One row of a sweep: what goes wrong with it is logged, and the others are handled anyway."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

Row = TypeVar("Row")

logger = logging.getLogger(__name__)


def handled(handle: Callable[[Row], bool], row: Row, failed: str) -> bool:
    """What `handle` says of this row; False where it raises. `failed` is what the log then says,
    with a place for the row."""
    try:
        return handle(row)
    except Exception:
        logger.exception(failed, row)
        return False
