"""Commands that end in one sentence, also when the database is why."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, OperationalError
from psycopg.errors import InsufficientPrivilege, UndefinedTable


class PlainCommand(BaseCommand):
    """What goes wrong below is said in words; what nobody foresaw keeps its traceback."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            said = super().execute(*args, **options)
            sys.stdout.flush()
            return said
        except BrokenPipeError:
            # The reader has gone (`| head`). Nothing is left to say, nor to say it to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Error as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            raise CommandError(sentence) from error


def _sentence(error: Error) -> str | None:
    if isinstance(error.__cause__, InsufficientPrivilege):
        return (
            "This process has not the right to do that; run the command as the owner, that is,"
            " with PLACET_PROCESS=owner."
        )
    if isinstance(error.__cause__, UndefinedTable):
        return "The database is not prepared; run `manage.py migrate`, or `make up`."
    if isinstance(error, OperationalError):
        return "The database does not answer; start Placet, or ask `manage.py doctor`."
    return None
