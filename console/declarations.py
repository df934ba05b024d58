"""What authors declare, read without importing their code into this process.

Authors' modules run when they are imported. So a child without a single credential, behind
the wall where the system allows one, imports them and prints what they declare.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from console.embedded.environments import SURROUNDINGS
from console.embedded.processes import MARK, end, spawn
from console.embedded.programs import MANAGE
from console.embedded.walls import can_wall, walled
from console.home import BASE_DIR

SECONDS = 60
MAX_BYTES = 10_000_000
NOWHERE = "/dev/null"
ERROR_NAME = re.compile(r"^[\w.]+: ")


def read() -> Any:
    """The declarations of this installation; raises `ImproperlyConfigured` with a sentence."""
    with tempfile.TemporaryFile() as output:
        code = _run(output.fileno())
        if output.seek(0, os.SEEK_END) > MAX_BYTES:
            raise ImproperlyConfigured(f"Workflows print more than {MAX_BYTES:,} bytes.")
        output.seek(0)
        *said, last = output.read().decode(errors="replace").splitlines() or [""]
    if said:
        print("\n".join(said), file=sys.stderr)
    if code:
        told = ERROR_NAME.sub("", last) or "the process that imports them said nothing."
        raise ImproperlyConfigured(told)
    try:
        return json.loads(last)
    except ValueError:
        raise ImproperlyConfigured("Workflows print after their declarations.") from None


def _run(output: int) -> int:
    hidden = Path(settings.PLACET_HOME)
    command = [*MANAGE, "declarations"]
    if can_wall(hidden):
        command = list(map(str, walled(command, hidden)))
    with os.fdopen(os.dup(output), "wb") as file:
        process = spawn(command, environment=_environment(), output=file, cwd=BASE_DIR)
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise ImproperlyConfigured(
                f"The modules of PLACET_WORKFLOWS were not imported within {SECONDS} s."
            ) from None
        finally:
            end(process, within_seconds=0)


def _environment() -> dict[str, str]:
    """Surroundings and the names of the modules: nothing that opens anything."""
    kept = {name: os.environ[name] for name in (*SURROUNDINGS, MARK) if name in os.environ}
    return {
        **kept,
        "PLACET_PROCESS": "worker",
        "PLACET_HOME": NOWHERE,
        "PLACET_WORKFLOWS": ",".join(settings.PLACET_WORKFLOWS),
        "PLACET_DEMO": "1" if settings.PLACET_DEMO else "0",
        "PLACET_DEMO_INVOICES": settings.PLACET_DEMO_INVOICES,
    }
