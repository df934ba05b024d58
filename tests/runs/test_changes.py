"""Changes of code: patches, quarantine, replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runs import replay
from runs.models import Run
from tests.harness import World, as_role
from tests.runs.test_signals import send
from tests.zoo import ledger, world_dir


def deploy(name: str) -> Path:
    """Puts a change of the code into force."""
    path = world_dir() / name
    path.touch()
    return path


def replayed(run: Run) -> Any:
    with as_role("placet_worker"):
        return replay.replay(replay.recorded(Run.objects.get(pk=run.pk)))


def test_a_new_run_follows_the_patch_and_goes_on_doing_so(world: World) -> None:
    deploy("patched-code")
    run = world.start("changing")
    world.settle()
    send(world, run, "go", "now")
    world.settle()
    assert world.result(run) == [2, "checked", "now", "checked again", 4]
    assert [s.kind for s in world.steps(run)] == ["tool", "patch", "signal", "patch", "tool"]


def test_a_run_that_was_past_the_place_follows_its_old_code(world: World) -> None:
    run = world.start("changing")
    world.settle()
    deploy("patched-code")
    send(world, run, "go", "now")
    world.settle()
    assert world.result(run) == [2, "now", "checked again", 4]


def test_code_that_differs_quarantines_and_a_fix_lets_the_run_go_on(world: World) -> None:
    from runs.steering import resume

    run = world.start("changing")
    world.settle()
    broken = deploy("broken-code")
    send(world, run, "go", "now")
    world.settle()
    now = world.run_now(run)
    assert now.status == "quarantined"
    assert (now.error["recorded"], now.error["found"]) == ("the signal go", "the tool echo")
    broken.unlink()
    with as_role("placet_web"):
        resume(run=now, actor="alice")
    world.settle()
    assert world.result(run) == [2, "now", 4]


def test_a_replay_says_which_runs_would_break_and_does_nothing(world: World) -> None:
    parked, ended = world.start("changing"), world.start("changing")
    world.settle()
    send(world, ended, "go", "now")
    world.settle()
    before = ledger()
    assert replayed(parked).outcome == replayed(ended).outcome == "fits"
    deploy("broken-code")
    for run in (parked, ended):
        verdict = replayed(run)
        assert verdict.would_break
        assert (verdict.recorded, verdict.found) == ("the signal go", "the tool echo")
    assert ledger() == before
    assert [len(world.steps(run)) for run in (parked, ended)] == [2, 3]


@pytest.mark.parametrize(
    ("workflow", "input"),
    [
        ("everything", {"amount_minor": 5000}),
        ("hurrying", {"seconds": 3600}),
        ("asking", {}),
        ("parenting", {"children": [{"workflow": "adding", "input": {"numbers": [1]}}]}),
        ("registering", {"names": ["a", "b"]}),
        ("refusing", {}),
        ("sleeping", {"seconds": 0}),
    ],
)
def test_what_was_recorded_with_this_code_fits_it(
    world: World, workflow: str, input: dict[str, Any]
) -> None:
    run = world.start(workflow, **input)
    world.settle()
    before = ledger()
    verdict = replayed(run)
    assert (verdict.outcome, verdict.would_break) == ("fits", False), verdict
    assert ledger() == before


def test_a_run_that_asks_for_nothing_new_may_end_otherwise(world: World) -> None:
    run = world.start("changing")
    send(world, run, "go", "now")
    world.settle()
    old = replay.recorded(world.run_now(run))
    assert replay.read(replay.export(old)) == replay.read(replay.export(old))
    shorter = {p: e for p, e in old.entries.items() if p < 2}
    from dataclasses import replace

    verdict = replay.replay(replace(old, entries=shorter))
    assert (verdict.outcome, verdict.said) == ("breaks", "It asks for more, but the run was over.")
    verdict = replay.replay(replace(old, result=b"0"))
    assert verdict.said == "It ends with another result than was recorded."


@pytest.mark.parametrize("workflow", ["adding", "writing", "parenting", "registering"])
def test_a_replay_that_comes_to_something_new_does_not_begin_it(
    world: World, workflow: str
) -> None:
    listener = world.start("listening", signals=["go"])
    inputs: dict[str, dict[str, Any]] = {
        "adding": {"numbers": [1]},
        "writing": {"to": str(listener.id), "signal": "go"},
        "parenting": {"children": [{"workflow": "adding", "input": {"numbers": []}}]},
        "registering": {"names": ["a"]},
    }
    run = world.start(workflow, **inputs[workflow])
    before = Run.objects.count()
    assert replayed(run).outcome == "fits"
    assert ledger() == []
    assert not listener.signals.exists()
    assert Run.objects.count() == before


def test_an_exported_journal_replays_elsewhere(world: World) -> None:
    run = world.start("everything", amount_minor=5000)
    world.settle()
    line = replay.export(replay.recorded(world.run_now(run)))
    assert replay.replay(replay.read(line)).outcome == "fits"
    with pytest.raises(ValueError, match="This is no exported journal: the format is 'x'"):
        replay.read('{"format": "x"}')
    with pytest.raises(ValueError, match="This is no exported journal"):
        replay.read("nonsense")
