"""`manage.py replay RUN...`: would recorded runs go on with the code of today?"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db import connection

from console.management.plain import PlainCommand
from runs import limits, replay
from runs.models import Run


class Command(PlainCommand):
    help = "Re-run recorded journals against today's code, without effects; fails if one breaks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("runs", nargs="*", help="identifiers of runs")
        parser.add_argument("--workflow", help="the newest runs of this workflow")
        parser.add_argument("--status", help="only runs in this state, with --workflow")
        parser.add_argument("--most", type=int, default=100, help="how many, with --workflow")
        parser.add_argument("--file", help="journals that --export wrote, one in a line")
        parser.add_argument("--export", action="store_true", help="print journals, replay nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        # Agents' code runs here: it can read, and write nothing.
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")
        found = list(_from_file(options["file"]) if options["file"] else _from_database(options))
        if not found:
            raise CommandError("No run was named: give identifiers, --workflow or --file.")
        if options["export"]:
            for run in found:
                self.stdout.write(replay.export(run))
            return
        verdicts = [replay.replay(run) for run in found]
        for verdict in verdicts:
            self._tell(verdict)
        broken = sum(verdict.would_break for verdict in verdicts)
        if broken:
            raise CommandError(f"{broken} of {len(verdicts)} would break.")
        self.stdout.write(f"All {len(verdicts)} agree with this code.")

    def _tell(self, verdict: replay.Verdict) -> None:
        self.stdout.write(
            f"{verdict.outcome:<8}{verdict.run_id}  {verdict.workflow}: {verdict.said}"
        )
        if verdict.recorded:
            self.stdout.write(f"        recorded: {verdict.recorded}")
            self.stdout.write(f"        the code: {verdict.found}")


def _from_file(path: str) -> Iterator[replay.Recorded]:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError as error:
        raise CommandError(f"The file cannot be read: {error.strerror}.") from None
    for number, line in enumerate(lines, start=1):
        try:
            yield replay.read(line)
        except ValueError as error:
            raise CommandError(f"Line {number}: {error}") from None


def _from_database(options: dict[str, Any]) -> Iterator[replay.Recorded]:
    for given in options["runs"]:
        try:
            run = Run.objects.filter(pk=UUID(given)).first()
        except ValueError:
            run = None
        if run is None:
            raise CommandError(f"There is no run {given}.")
        if run.is_inert:
            raise CommandError(f"Nothing of run {given} was ever run: there is nothing to replay.")
        yield replay.recorded(run)
    if options["workflow"]:
        if not 1 <= options["most"] <= limits.MAX_REPLAYED:
            raise CommandError(f"--most is from 1 to {limits.MAX_REPLAYED}.")
        runs = Run.objects.filter(workflow=options["workflow"], is_inert=False)
        runs = runs.order_by("-created_at")
        if options["status"]:
            runs = runs.filter(status=options["status"])
        for run in runs[: options["most"]]:
            yield replay.recorded(run)
