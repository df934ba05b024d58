"""Which folders a run may have read, and what becomes of odd things lying in one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.test import override_settings

from console.demo.folders import MAX_FILES, SAMPLES, check_folder, find_folder
from runs.errors import Refusal
from tests.demo.documents import Document


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "invoices" / "april").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "invoices" / "way-out").symlink_to(tmp_path / "secret")
    return tmp_path / "invoices"


def test_the_samples_and_all_below_the_named_folder_may_be_read(root: Path) -> None:
    with override_settings(PLACET_DEMO_INVOICES=str(root)):
        assert find_folder("samples") == SAMPLES
        assert find_folder(str(SAMPLES)) == SAMPLES
        assert find_folder(".") == root
        assert find_folder("april") == root / "april"
        assert find_folder(str(root / "april")) == root / "april"


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../secret",
        "april/../../secret",
        "/",
        "/etc",
        "way-out",
        "~",
        "\0",
        "a" * 5_000,
        "../invoices-not",
    ],
)
def test_every_other_folder_is_refused(root: Path, name: str) -> None:
    with override_settings(PLACET_DEMO_INVOICES=str(root)), pytest.raises(Refusal):
        find_folder(name)


def test_with_no_folder_named_only_the_samples_may_be_read(root: Path) -> None:
    with override_settings(PLACET_DEMO_INVOICES=""):
        assert find_folder("samples") == SAMPLES
        with pytest.raises(Refusal, match="is not a folder that the demo reads"):
            find_folder(str(root))


def test_a_folder_that_is_not_there_is_refused_in_words(root: Path) -> None:
    with (
        override_settings(PLACET_DEMO_INVOICES=str(root)),
        pytest.raises(Refusal, match=r"There is no folder 'may'\."),
    ):
        find_folder("may")


def test_whatever_lies_in_a_folder_is_a_finding_and_no_crash(root: Path) -> None:
    (root.parent / "secret" / "outside.xml").write_bytes(Document().xml())
    folder = root / "april"
    (folder / "a-sound.xml").write_bytes(Document().xml())
    (folder / "b-link.xml").symlink_to(root.parent / "secret" / "outside.xml")
    os.mkfifo(folder / "c-pipe.xml")
    (folder / "d-text.txt").write_text("Not an invoice.")
    (folder / "e-empty.xml").touch()
    (folder / ".hidden").touch()
    (folder / "subfolder").mkdir()
    (folder / os.fsdecode(b"f-\xff.xml")).write_bytes(b"\xff")
    found = {e.file: [str(f.code) for f in e.findings] for e in check_folder(folder)}
    assert found == {
        "a-sound.xml": [],
        "b-link.xml": ["unreadable_file"],
        "c-pipe.xml": ["unreadable_file"],
        "d-text.txt": ["not_xml"],
        "e-empty.xml": ["not_xml"],
        "f-\\xff.xml": ["not_xml"],
    }


def test_too_many_files_are_refused(root: Path) -> None:
    for number in range(MAX_FILES + 1):
        (root / "april" / f"{number}.xml").touch()
    with pytest.raises(Refusal, match=f"holds {MAX_FILES + 1} files; at most {MAX_FILES}"):
        check_folder(root / "april")
