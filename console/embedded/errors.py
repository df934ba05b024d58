"""What stops a start, in one sentence that a person can act on."""

from __future__ import annotations

import errno
from pathlib import Path

NO_SPACE = "No space left on device"


class CannotStart(Exception):
    """A start that cannot go on. The message is the sentence to print; no traceback follows."""


def full_disk(path: Path) -> CannotStart:
    return CannotStart(f"The disk that holds {path} is full; free some space and start again.")


def from_os_error(error: OSError, path: Path) -> CannotStart:
    """The sentence for an error of the file system at or below `path`."""
    place = error.filename or path
    if error.errno == errno.ENOSPC:
        return full_disk(path)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return CannotStart(
            f"Cannot write {place} ({error.strerror}); make {path} writable for this user, "
            "or name another directory with PLACET_HOME."
        )
    return CannotStart(
        f"Cannot use {place} ({error.strerror}); name another directory with PLACET_HOME."
    )
