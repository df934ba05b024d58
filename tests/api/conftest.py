"""Who calls. Imported before Django is set up, so the fixtures import what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.api.callers import Caller
    from tests.harness import World


@pytest.fixture(scope="session", autouse=True)
def _registered() -> None:
    """The workflow of these tests, next to those that every test may use."""
    from django.conf import settings

    from runs import registry
    from tests.api.workflows import paying_to
    from tests.harness import as_role

    # The test client loads the middleware, which looks for the collected files.
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    assert paying_to.name == "paying_to"
    with as_role("placet_owner"):
        registry.register(registry.collect())


@pytest.fixture
def alice(world: World) -> Caller:
    """Alice, the operator, with a token that has every scope."""
    from tests.api import callers

    return callers.with_token(world.alice)


@pytest.fixture
def anyone(world: World) -> Caller:
    """Somebody who has every right, so that no refusal is for want of one."""
    from tests.api import callers

    person = callers.make_person("all", "operator", "reviewer", "admin", tenant=world.tenant)
    return callers.with_token(person)


@pytest.fixture
def olivia(world: World) -> Caller:
    """Somebody of another tenant, who has every right there."""
    from tests.api import callers

    person = callers.make_person("olivia", "operator", "reviewer", "admin", tenant="elsewhere")
    return callers.with_token(person)
