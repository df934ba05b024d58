"""Which folders the demo may read invoices from, and the reading of one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from django.conf import settings

from console.demo.checks import Checked, check_duplicates, check_file, unreadable
from console.demo.reading import MAX_INVOICE_BYTES
from runs.errors import Refusal

SAMPLES = Path(__file__).resolve().parent / "samples"
MAX_FILES = 200


def find_folder(name: str) -> Path:
    """The folder that a run asked for: "samples", or one in or below PLACET_DEMO_INVOICES.

    Raises `Refusal` for any other, by whatever way it is written: what a run may read is
    settled by whoever set Placet up, not by whoever starts a run.
    """
    roots = [SAMPLES]
    if settings.PLACET_DEMO_INVOICES:
        roots.insert(0, Path(settings.PLACET_DEMO_INVOICES).resolve())
    try:
        folder = SAMPLES if name == "samples" else (roots[0] / name).resolve()
        is_allowed = any(folder.is_relative_to(root) for root in roots)
        is_there = is_allowed and folder.is_dir()
    except (OSError, ValueError, RuntimeError):
        is_allowed = False
    if not is_allowed:
        raise Refusal(
            f"{name[:100]!r} is not a folder that the demo reads: use 'samples', or a folder "
            "in the one that PLACET_DEMO_INVOICES names."
        )
    if not is_there:
        raise Refusal(f"There is no folder {name[:100]!r}.")
    return folder


def check_folder(folder: Path) -> list[Checked]:
    """Every file of a folder, read and checked, in the order of their names."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise Refusal(f"The folder {folder.name!r} cannot be read: {error.strerror}.") from error
    files = [name for name in names if not (folder / name).is_dir()]
    if len(files) > MAX_FILES:
        raise Refusal(f"The folder holds {len(files)} files; at most {MAX_FILES} are read at once.")
    return check_duplicates([_check(folder / name) for name in files])


def _check(path: Path) -> Checked:
    # A name need not be valid UTF-8; a step's result must be.
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    try:
        data = _read(path)
    except OSError as error:
        return unreadable(name, f"The file cannot be read: {error.strerror}.")
    if data is None:
        return unreadable(name, "This is a link or no ordinary file, and was not opened.")
    return check_file(name, data)


def _read(path: Path) -> bytes | None:
    """At most one byte more than the limit; None for a link, a pipe or a device."""
    if path.is_symlink():
        return None
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        return file.read(MAX_INVOICE_BYTES + 1)
