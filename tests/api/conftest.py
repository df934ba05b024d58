from __future__ import annotations

from typing import Any

import pytest

from tests.api import world


@pytest.fixture
def alice(db: Any) -> Any:
    world.declare_workflow()
    return world.make_person("alice", "operator")


@pytest.fixture
def bob(db: Any) -> Any:
    return world.make_person("bob", "reviewer")


@pytest.fixture
def olivia(db: Any) -> Any:
    """An operator and reviewer of another tenant."""
    return world.make_person("olivia", "operator", "reviewer", tenant="other")


@pytest.fixture
def caller(alice: Any) -> world.Caller:
    """Alice, with a token that has every scope."""
    return world.by_token(world.make_token(alice))
