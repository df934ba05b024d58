"""The arrows between the rooms, and habits of the code that a reader relies on."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runs.context import RunContext

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("runs", "approvals", "credentials", "console")
SOURCES = [
    path
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
    if "migrations" not in path.parts
]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in [*SOURCES, *TESTS]}

# Who may import what from outside; `*` stands for any directory's name.
PACKAGES = {
    "celery": ("*/tasks.py", "console/celery.py", "console/hints.py"),
    "kombu": (),
    "hvac": ("credentials/vault.py",),
    "channels": ("console/asgi.py", "console/origins.py", "console/live/*"),
    "redis": ("console/live/*", "console/embedded/*", "console/listening.py"),
    "ninja": ("console/api/*",),
    "allauth": ("console/accounts.py", "console/urls.py"),
    "rfc8785": ("runs/canonical.py",),
    "opentelemetry": ("runs/telemetry.py", "console/telemetry.py"),
}
# The whole top level; what else comes up there belongs into a room.
TOP = {
    *("approvals", "console", "credentials", "runs", "templates", "static", "tests", "docs"),
    *("requirements", ".ci", ".gitignore", "Makefile", "manage.py", "pyproject.toml"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
}
# A float is a span of seconds, never a sum: these say so by what they hold.
FLOATS = {
    "runs/context.py": "the seconds of a timer",
    "console/settings.py": "PLACET_CLAIM_SECONDS and its like",
    "runs/retries.py": "the seconds between two attempts",
    "console/demo/bank/service.py": "the switch delay_seconds",
    "console/demo/bank/ledger.py": "the switch delay_seconds",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[Path]:
    """The files of the repository, those that are about to be added included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Name):
        return call.func.id
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


# Arrows


def test_the_arrows_between_the_rooms_are_kept() -> None:
    """Read from the sources; `make lint` also follows them through import-linter's contracts."""
    below = {
        "runs": set(),
        "approvals": {"runs"},
        "credentials": {"runs"},
        "console": {"runs", "approvals", "credentials"},
    }
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in SOURCES
        for module in imported(TREES[path])
        if (room := module.partition(".")[0]) in ROOMS
        and (own := path.relative_to(ROOT).parts[0]) != room
        and room not in below[own]
    ]
    assert wrong == []


def test_the_contracts_of_import_linter_are_kept() -> None:
    kept = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert kept.returncode == 0, kept.stdout + kept.stderr
    assert "0 broken" in kept.stdout


def test_rooms_import_no_tests() -> None:
    wrong = [p for p in SOURCES if any(m.partition(".")[0] == "tests" for m in imported(TREES[p]))]
    assert [name_of(path) for path in wrong] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_stays_in_its_place(package: str) -> None:
    found = [p for p in SOURCES if any(m.partition(".")[0] == package for m in imported(TREES[p]))]
    places = PACKAGES[package]
    wrong = [p for p in found if not any(p.relative_to(ROOT).match(place) for place in places)]
    assert [name_of(path) for path in wrong] == []
    # A place that nobody needs any more is taken off the list.
    assert all(any(p.relative_to(ROOT).match(place) for p in found) for place in places)


@pytest.mark.parametrize("process", ["web", "gatekeeper"])
def test_a_process_that_consents_or_clears_imports_no_authors_code(
    process: str, tmp_path: Path
) -> None:
    """Started as the real process would be; the module of an author would end it."""
    (tmp_path / "agents.py").write_text("raise SystemExit('an author was imported')\n")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(tmp_path),
        "PLACET_HOME": str(tmp_path / "home"),
        "PLACET_PROCESS": process,
        "PLACET_WORKFLOWS": "agents",
        "DJANGO_SETTINGS_MODULE": "console.settings",
    }
    code = (
        "import sys, django; django.setup(); import console.urls, console.asgi, approvals.tasks;"
        " assert 'agents' not in sys.modules; from runs.declare import TOOLS; print(len(TOOLS))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "0\n"), ran.stderr


# Habits


@pytest.mark.parametrize("path", TREES, ids=name_of)
def test_no_module_is_longer_than_600_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600


def test_functions_are_short() -> None:
    long = {
        f"{name_of(path)}:{node.name}": length
        for path in SOURCES
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > 80
    }
    assert long == {}


def test_nothing_is_sent_to_be_done_later_by_celery() -> None:
    """A timer in a broker would be lost with it: timers are rows."""
    wrong = [
        f"{name_of(path)}:{call.lineno}"
        for path in SOURCES
        for call in calls(TREES[path])
        if name_called(call) in ("apply_async", "delay", "retry", "chord", "chain")
        or {keyword.arg for keyword in call.keywords} & {"eta", "countdown", "retry_backoff"}
    ]
    assert wrong == []


def test_no_sum_is_made_a_float() -> None:
    found = {
        name_of(path)
        for path in SOURCES
        for call in calls(TREES[path])
        if name_called(call) == "float"
    }
    assert found == set(FLOATS)


def test_few_places_write_the_status_of_a_run_or_a_step() -> None:
    """The transitions; beside them the claim of a run, the wish to cancel, and settled doubts."""
    update = re.compile(r"UPDATE runs_(?:run|step)\b(?:(?!WHERE).)*?\bstatus = ", re.DOTALL)
    through_orm = re.compile(r"\b(?:Run|Step)\.objects\.[^\n]*\.update\([^)]*status")
    writers = {
        name_of(path.parent if path.parent.name == "transitions" else path)
        for path in SOURCES
        if update.search(text := path.read_text()) or through_orm.search(text)
    }
    assert writers == {
        "runs/transitions",
        "runs/claims.py",
        "runs/steering.py",
        "runs/settlements.py",
    }


def test_the_code_reads_its_environment_in_few_places() -> None:
    found = {
        name_of(path).rpartition("/")[0] or name_of(path)
        for path in SOURCES
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert found <= {
        "console",
        "console/embedded",
        "console/management",
        "console/demo/bank",
    }


def test_the_top_level_is_what_it_is() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} == TOP


def test_no_file_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    hosts = ("pypi" + ".org", "python" + "hosted", "npm" + "js", "crates" + ".io", "docker" + ".io")
    places = ("/ho" + "me/", "/Us" + "ers/", "/tmp/scr" + "atch", "/wo" + "rk/")
    wrong = [
        f"{name_of(path)}: {word}"
        for path in tracked()
        if path.suffix not in (".png", ".ico", ".woff2")
        for word in (*hosts, *places)
        if word in path.read_text()
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "module",
    [
        *("runs", "runs.lifecycle", "runs.settlements", "runs.transitions"),
        *("approvals.decisions", "approvals.policies", "approvals.gates", "approvals.envelope"),
        "approvals.closing",
        *("credentials.secrets", "credentials.broker", "console.deeds", "console.tokens"),
    ],
)
def test_what_a_module_offers_says_what_it_is(module: str) -> None:
    """The public functions and classes of the modules that others call."""
    offered = vars(importlib.import_module(module))
    names = offered.get("__all__") or [
        name
        for name, value in offered.items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module
    ]
    values = {name: offered[name] for name in names}
    documented = {n: v for n, v in values.items() if inspect.isfunction(v) or inspect.isclass(v)}
    assert documented
    assert [name for name, value in documented.items() if not inspect.getdoc(value)] == []


def test_every_call_of_run_says_what_it_does() -> None:
    calls = {n: v for n, v in vars(RunContext).items() if inspect.isfunction(v) and n[0] != "_"}
    assert [name for name, value in calls.items() if not value.__doc__] == []
