"""The bank's API key: given by the environment, or made once and kept in a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def keep_api_key(path: Path) -> str:
    """The key, from PLACET_DEMO_BANK_KEY or from the file, which is made when it is missing."""
    given = os.environ.get("PLACET_DEMO_BANK_KEY", "")
    if given:
        return given
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with open(file, "w") as new:
        new.write(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()
