"""Where Placet keeps its things, and what each process is told about the servers.

`make up` writes `environment.json` (mode 0600) under `PLACET_HOME`: for each process
the variables that it starts with. A command typed in another shell reads its own part
from there, so that `manage.py gates` finds the embedded database.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
PROCESSES = ("web", "gatekeeper", "worker", "executor", "owner")


def home() -> Path:
    return Path(os.environ.get("PLACET_HOME") or BASE_DIR / ".placet").absolute()


def environment(process: str) -> dict[str, str]:
    """The variables that `make up` gave to `process`; empty before the first start."""
    path = home() / "environment.json"
    try:
        written = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise SystemExit(f"Cannot read the settings in {path}: {error}.") from error
    return dict(written.get(process, {}))
