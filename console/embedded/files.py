"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_private(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` with mode 0600; a crash leaves the old or the new file."""
    raw = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def keep_secret(path: Path, nbytes: int = 32) -> str:
    """The secret in `path` (hexadecimal digits), made on the first call."""
    if not path.exists():
        write_private(path, secrets.token_hex(nbytes))
    return path.read_text().strip()
