"""Fixtures. They import when they are used, because Django is not yet set up before that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from credentials.models import Secret
    from runs.effects import ClaimedStep
    from tests.harness import World
    from tests.servers import Servers


@pytest.fixture(scope="session")
def declared(servers: Servers) -> None:
    """The tools of these tests are registered."""
    from tests.credentials.room import declare_tools

    declare_tools()


@pytest.fixture
def room(world: World, declared: None) -> Iterator[World]:
    """A world whose executor can ask the vault; payments by `wire_out` need one person."""
    from credentials.broker import VaultProvider
    from runs import effects

    world.policy(tool="wire_out")
    effects.plug_credentials(VaultProvider())
    yield world
    effects.plug_credentials(None)


@pytest.fixture
def secret(room: World) -> Secret:
    """The secret bank/payments, in the scope of each tool of these tests."""
    from tests.credentials.room import make_secret

    return make_secret(room)


@pytest.fixture
def claimed(room: World, secret: Secret) -> ClaimedStep:
    """A claimed step of `read_balance`, which may have its credential."""
    from tests.credentials.room import claim_reading

    return claim_reading(room)


@pytest.fixture
def cleared(room: World, secret: Secret) -> ClaimedStep:
    """A claimed step of `wire_out`, to which Bob consented."""
    from tests.credentials.room import claim_cleared

    return claim_cleared(room)
