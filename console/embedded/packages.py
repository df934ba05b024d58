"""Where the packages with the servers' programs lie."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from console.embedded.errors import CannotStart


def directory_of(package: str) -> Path:
    """Its directory, without importing it: some of these packages act when they are imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise CannotStart(f"The package {package} is not installed; run `make up` to install it.")
    return Path(spec.origin).parent
