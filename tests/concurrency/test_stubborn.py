"""A tool that ignores its time loses its process, and Celery's parent starts another child."""

from __future__ import annotations

import pytest

from runs.models import Event, Step
from tests import zoo
from tests.concurrency.test_takeover import children_of
from tests.harness import World
from tests.servers import Servers
from tests.stack import Stack
from tests.zoo import ledger


@pytest.mark.processes
@pytest.mark.parametrize(
    ("role", "name", "kind"),
    [("executor", "ignore", "ignored"), ("worker", "ponder", "pondered")],
)
def test_the_process_of_a_stubborn_tool_is_replaced(
    world: World, servers: Servers, role: str, name: str, kind: str
) -> None:
    with Stack(servers, PLACET_CLAIM_SECONDS="60") as stack:
        before = set(children_of(stack.processes[role].pid))
        stubborn = {"stubborn": True} if name == "ponder" else {}
        run = world.start("calling", tool=name, arguments={"seconds": 300, **stubborn})
        stack.wait_until(lambda: len(ledger(kind)) == 2, "the second attempt")
        (zoo.world_dir() / "stop-ignoring").touch()
        stack.wait_until(lambda: world.run_now(run).status == "succeeded", "the run to succeed")
        stack.wait_until(
            lambda: bool(before - set(children_of(stack.processes[role].pid))), "the child's end"
        )
    (step,) = Step.objects.filter(run=run)
    assert (step.attempt, step.failures, step.deaths) == (2, 1, 0)
    kinds = list(Event.objects.filter(run=run).order_by("seq").values_list("kind", flat=True))
    assert "step.attempt_failed" in kinds and "step.taken_over" not in kinds
