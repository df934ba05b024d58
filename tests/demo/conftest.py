"""Fixtures of the demo's tests. What they import needs Django set up, so they import late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Servers


@pytest.fixture
def demo(world: Any, tmp_path: Path) -> Iterator[object]:
    """A world with the sample bank in it; see `tests.demo.played`."""
    from tests.demo.played import playing

    with playing(world, tmp_path) as played:
        yield played


@pytest.fixture
def as_web(servers: Servers) -> Iterator[None]:
    """The web's identity in the vault, as the set-up lends it to the owner."""
    from tests.demo.played import vault_identity

    with vault_identity(servers, "web"):
        yield
