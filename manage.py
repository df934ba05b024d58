#!/usr/bin/env python3
"""Placet's command line: `./manage.py help` lists the commands."""

import os
import sys
from pathlib import Path

ENVIRONMENT = Path(__file__).resolve().parent / ".venv"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    try:
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError as missing:
        if missing.name != "django":
            raise
        _begin_again()
    execute_from_command_line(sys.argv)


def _begin_again() -> None:
    """Run in the environment that `make up` made: a fresh shell knows nothing of it."""
    python = ENVIRONMENT / "bin" / "python"
    # By the prefix: the interpreter of an environment is a link to the one it was made with.
    if not python.exists() or Path(sys.prefix).resolve() == ENVIRONMENT:
        sys.exit("Run `make up` first.")
    os.execv(python, [str(python), *sys.argv])


if __name__ == "__main__":
    main()
