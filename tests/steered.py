"""People who steer, as the web process asks for them; for tests."""

from __future__ import annotations

from runs import steering
from runs.models import Event, Run
from tests.harness import as_role

WHY = "The bank called."


def pause(run: Run, actor: str = "bob", reason: str = WHY) -> bool:
    with as_role("placet_web"):
        return steering.pause(run=run, actor=actor, reason=reason)


def resume(run: Run, actor: str = "bob") -> bool:
    with as_role("placet_web"):
        return steering.resume(run=run, actor=actor)


def cancel(run: Run, actor: str = "bob", reason: str = "") -> bool:
    with as_role("placet_web"):
        return steering.request_cancel(run=run, actor=actor, reason=reason)


def terminate(run: Run, actor: str = "bob", reason: str = WHY) -> bool:
    with as_role("placet_web"):
        return steering.terminate(run=run, actor=actor, reason=reason)


def kinds(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("kind", flat=True))
