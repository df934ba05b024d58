"""Imported before Django is set up, so the fixtures import what they need."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def settings_origins(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Says where Placet is, for one test."""
    from django.conf import settings

    return lambda origins: monkeypatch.setattr(settings, "PLACET_ORIGINS", origins)
