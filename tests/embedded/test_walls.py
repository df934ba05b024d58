"""What the code of authors can touch: nothing as the owner, and no file from behind the wall."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from console import declarations
from console.embedded.walls import can_wall, walled
from console.home import BASE_DIR
from runs import registry
from runs.declare import TOOLS, declaration_digest
from runs.models import Declaration, WorkflowDeclaration
from tests.harness import as_role

TELLTALE = """
import json, os, pathlib
from runs import workflow

def tried(path):
    try:
        pathlib.Path(path).write_text("written by an agent")
    except OSError as error:
        return error.strerror
    return "written"

TOLD = json.dumps({
    "environment": dict(os.environ),
    "home": os.listdir(HOME) if os.path.isdir(HOME) else None,
    "wrote": {path: tried(path) for path in PATHS},
})
print("noise on the way")

@workflow("telling", version=1)
def telling(run, *, told: str = TOLD):
    pass
"""


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of modules that workflows are declared in."""
    monkeypatch.setenv("PYTHONPATH", f"{BASE_DIR}{os.pathsep}{tmp_path}")
    yield tmp_path


def declared_by(author: Path, source: str) -> registry.Declared:
    (author / "authors_module.py").write_text(source)
    with override_settings(PLACET_WORKFLOWS=["authors_module"]):
        return dict(declarations.read())


def needs_walls() -> None:
    if not can_wall(settings.PLACET_HOME):
        pytest.skip("this system refuses namespaces")


def test_declaring_code_sees_no_credential_and_writes_nothing(
    author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_walls()
    monkeypatch.setenv("PLACET_SEAL_KEY", "ab" * 32)
    monkeypatch.setenv("PLACET_DATABASE_URL", "postgresql://owner:secret@127.0.0.1/placet")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    paths = [
        str(author / "written"),
        str(BASE_DIR / "console" / "written.py"),
        str(Path(sys.prefix) / "written.py"),
        str(settings.PLACET_HOME / "written"),
        "/dev/shm/written",
    ]
    for path in paths:
        # What a run without walls may have left is no sign of this one.
        Path(path).unlink(missing_ok=True)
    source = f"HOME = {str(settings.PLACET_HOME)!r}\nPATHS = {paths!r}\n{TELLTALE}"

    declared = declared_by(author, source)

    workflow = next(w for w in declared["workflows"] if w["name"] == "telling")
    told = json.loads(workflow["schema"]["properties"]["told"]["default"])
    names = {name for name in told["environment"] if name.startswith(("PLACET_", "OTEL_"))}
    assert names <= {
        *("PLACET_PROCESS", "PLACET_HOME", "PLACET_WORKFLOWS", "PLACET_DEMO"),
        *("PLACET_DEMO_INVOICES", "PLACET_MARK"),
    }
    assert "secret" not in json.dumps(told["environment"])
    assert told["home"] == []
    *forbidden, temporary = told["wrote"].values()
    assert set(forbidden) == {"Read-only file system"}
    assert temporary == "written"
    assert not any(Path(path).exists() for path in paths)


def test_the_owner_registers_what_the_child_read_without_importing_it(author: Path) -> None:
    source = (
        "from runs import tool, workflow\n"
        "@tool(effect='once')\n"
        "def stamp(call, *, text: str) -> None: ...\n"
        "@workflow('stamping', version=3)\n"
        "def stamping(run, *, text: str) -> None:\n    'Stamps.'\n"
    )
    declared = declared_by(author, source)
    assert "authors_module" not in sys.modules and "stamp" not in TOOLS
    try:
        with as_role("placet_owner"):
            registry.register(declared)
        assert Declaration.objects.get(tool="stamp").is_current
        assert WorkflowDeclaration.objects.get(name="stamping").summary == "Stamps."
        assert not WorkflowDeclaration.objects.get(name="paying").is_current
    finally:
        with as_role("placet_owner"):
            registry.register(registry.collect())


def test_a_digest_is_the_one_that_the_executor_finds(author: Path) -> None:
    with override_settings(PLACET_WORKFLOWS=["tests.zoo"]):
        read = declarations.read()
    pay = next(tool for tool in read["tools"] if tool["name"] == "pay")
    assert declaration_digest(pay) == TOOLS["pay"].declaration_digest


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import a_module_of_nobody", "'authors_module', which cannot be imported: No module"),
        ("def broken(:", "'authors_module', which cannot be imported: invalid syntax"),
        ("raise RuntimeError('not today')", "which cannot be imported: not today."),
    ],
)
def test_a_broken_module_is_one_sentence(author: Path, source: str, sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        declared_by(author, source)
    assert str(caught.value).startswith("PLACET_WORKFLOWS names ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"effect": "safe"},
        {"effect": "sure"},
        {"money": {"amount": "a", "currency": "b", "payee": "c", "payee_name": ""}},
        {"version": "1"},
        {"more": 1},
        {"schema": []},
    ],
)
def test_what_no_code_could_declare_is_refused(changed: dict[str, object]) -> None:
    tools = [TOOLS["launch"].declaration | changed]
    with pytest.raises(ImproperlyConfigured, match="malformed"):
        registry.register({"tools": tools, "workflows": []})


def test_behind_the_wall_python_has_a_place_for_temporary_files(tmp_path: Path) -> None:
    needs_walls()
    script = (
        "import tempfile, multiprocessing\n"
        "with tempfile.TemporaryFile() as file: file.write(b'x')\n"
        "multiprocessing.Semaphore()\n"
        "print(tempfile.gettempdir())"
    )
    done = subprocess.run(
        walled([sys.executable, "-c", script], tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("/dev/shm", 0), done.stderr
