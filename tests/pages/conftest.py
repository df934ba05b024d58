"""Imported before Django is set up, so the fixtures import what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from approvals.models import Gate
    from tests.harness import World
    from tests.pages.visitors import Visitor


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    from django.conf import settings

    from runs import registry
    from tests.api.workflows import paying_to
    from tests.harness import as_role

    # The test client loads the middleware, which looks for the collected files.
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    assert paying_to.name == "paying_to"
    with as_role("placet_owner"):
        registry.register(registry.collect())


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Rate limits are counted from nothing in each test."""
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def bob(world: World) -> Visitor:
    from tests.pages.visitors import visit_as

    return visit_as(world.bob)


@pytest.fixture
def alice(world: World) -> Visitor:
    from tests.pages.visitors import visit_as

    return visit_as(world.alice)


@pytest.fixture
def gate(world: World) -> Gate:
    """An open gate of 98.70 euro that Alice's run waits at, for Bob or Carol."""
    return world.gates(world.park_at_gates(9870))[0]
