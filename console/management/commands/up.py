"""Start everything and keep it running until Ctrl-C: what `make up` does."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from console.embedded.errors import CannotStart
from console.embedded.start import up


class Command(BaseCommand):
    help = "Starts the servers and all processes, and keeps them running until Ctrl-C."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            up()
        except CannotStart as error:
            sys.exit(str(error))
