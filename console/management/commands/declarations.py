"""Print what the modules of authors declare, as one line of JSON. Needs no credentials."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from runs import registry


class Command(BaseCommand):
    help = "Prints the declarations of tools and workflows; the set-up runs it as the worker."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PLACET_PROCESS != "worker":
            raise CommandError("It imports authors' code: start it with PLACET_PROCESS=worker.")
        # The worker's own start has imported the modules already.
        self.stdout.write(json.dumps(registry.collect()))
