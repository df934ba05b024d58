"""Where the rooms are put together: who carries hints, who proves consent, who holds keys."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models.signals import post_migrate


def compose() -> None:
    """Called once, when the console is ready. Plugs in what this process may have, only."""
    from approvals.decisions import seal_settlement
    from console import audit, celery, listening, roles, tracing
    from console.live.publish import publish
    from runs import dispatch, registry, settlements

    tracing.setup()
    roles.connect()
    audit.connect()
    post_migrate.connect(prepare_database, sender=apps.get_app_config("console"))
    dispatch.plug(celery.send_hint)
    dispatch.plug_live(publish)
    dispatch.plug_listener(listening.following)
    if settings.PLACET_PROCESS in ("worker", "executor"):
        registry.discover()
    if settings.PLACET_PROCESS == "executor":
        compose_executor()
    if settings.PLACET_PROCESS == "web":
        settlements.plug_sealer(seal_settlement)


def compose_executor() -> None:
    """What an executor alone has: the proof of consent, and the door to the vault."""
    from approvals import consent
    from credentials.broker import VaultProvider
    from runs import effects

    effects.plug_verifier(consent.verify)
    effects.plug_credentials(VaultProvider())


def prepare_database(using: str, **_: Any) -> None:
    """After `migrate`, as the owner: rights as declared, and what authors' code declares now."""
    from console import declarations, rights
    from runs import registry

    rights.apply(using)
    registry.register(declarations.read())
