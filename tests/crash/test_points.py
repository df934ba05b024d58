"""Every commit of the engine is a named point, so that the crash tests find it by themselves.

Of the transactions this is read off the code; of single statements that commit by themselves the
undisturbed plays of `test_kill` count each one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.home import BASE_DIR
from tests.crash.commits import Commits
from tests.harness import World, as_role

POINT_ELSEWHERE = {
    ("steering", "_steering"): "_say",
    ("endings", "finish_run"): "_tell_of_end",
    ("endings", "terminate"): "_tell_of_end",
}
"""Functions whose transaction has its point in another function, which each of them ends in."""

SAVEPOINTS = {("verbs", "_one_of_that_name")}
"""A part of another transaction, or of a verb that has a point."""


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in sorted(Path(BASE_DIR, "runs").rglob("*.py")):
        if "migrations" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    yield path.stem, node


def calls(function: ast.FunctionDef) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}


def test_each_transaction_of_the_engine_ends_in_a_named_point() -> None:
    named = {(where, made.name): calls(made) for where, made in functions()}
    begun = {place for place, made in named.items() if "transaction.atomic" in made}
    assert len(begun) > 20
    unnamed = {place for place in begun - SAVEPOINTS if "reach" not in named[place]}
    assert unnamed == set(POINT_ELSEWHERE), "add reach('committed:...') after the transaction"
    for (where, _), other in POINT_ELSEWHERE.items():
        assert "reach" in named[where, other]


@pytest.mark.parametrize("is_named", [True, False])
def test_a_commit_without_a_point_is_noticed(world: World, is_named: bool) -> None:
    from runs.transitions import wake

    run = world.start("listening", signals=["a"])
    world.settle()
    commits = Commits()
    with as_role("placet_worker"), commits.counted():
        assert wake(run.id)
        if is_named:
            commits.named("committed:run.woken")
    assert (commits.unnamed == []) == is_named
