"""Primary keys."""

from __future__ import annotations

from typing import Any

import uuid_utils.compat


def new_id() -> Any:
    """A time-ordered UUID (version 7), so that primary keys grow at their right edge."""
    return uuid_utils.compat.uuid7()
