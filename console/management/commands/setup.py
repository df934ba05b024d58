"""Prepare servers and database without starting the processes: for servers of your own."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from console.embedded.errors import CannotStart
from console.embedded.setup import set_up


class Command(BaseCommand):
    help = (
        "Prepares roles, database, rights and vault, and writes environment.json. "
        "Safe to repeat; needs that nothing runs on the same home."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--as-owner",
            action="store_true",
            help="only the part inside the database, as the owner of its schema",
        )

        parser.add_argument("--demo", action="store_true", help="with --as-owner: the demo as well")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["as_owner"]:
            prepare_as_owner(with_demo=options["demo"])
            return
        os.umask(0o077)
        try:
            set_up()
        except CannotStart as error:
            sys.exit(str(error))
        self.stdout.write(f"Prepared; the settings of each process are in {settings.PLACET_HOME}.")


def prepare_as_owner(*, with_demo: bool) -> None:
    """Migrations (the rights follow each of them), the seal key, the demo."""
    from approvals.decisions import install_seal_key

    call_command("migrate", interactive=False, verbosity=1)
    install_seal_key(bytes.fromhex(settings.PLACET_SEAL_KEY))
    if with_demo:
        call_command("seed_demo")
