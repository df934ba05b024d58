"""`manage.py bulk VERB --workflow W ... --user U`: counts runs, and steers exactly these."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from console import deeds
from console.management.people import acting_for, confirm, person_named, plain
from console.management.plain import PlainCommand
from console.management.runs import read_moment, refusals_in_words
from runs.bulk import VERBS, Filter


class Command(PlainCommand):
    help = "Count the runs that a filter finds and, once that number is confirmed, steer them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("verb", choices=VERBS)
        parser.add_argument("--workflow", default="", help="of this workflow")
        parser.add_argument("--status", default="", help="in this state")
        parser.add_argument("--requested-by", default="", help="requested by this person")
        parser.add_argument("--waiting-for", default="", help="this is in what they wait for")
        parser.add_argument("--since", default="", help="started since, such as 2026-11-20T00:00Z")
        parser.add_argument("--before", default="", help="started before")
        parser.add_argument("--user", required=True, help="who asks")
        parser.add_argument("--reason", default="", help="needed to pause and to terminate")
        parser.add_argument("--count", type=int, help="how many they are: does not ask")

    def handle(self, *args: Any, verb: deeds.Verb, **options: Any) -> None:
        person = person_named(options["user"])
        which = Filter(
            workflow=options["workflow"],
            status=options["status"],
            requested_by=options["requested_by"],
            waiting_for=options["waiting_for"],
            created_from=read_moment(options["since"]) if options["since"] else None,
            created_before=read_moment(options["before"]) if options["before"] else None,
        )
        with refusals_in_words():
            found = deeds.find_for_bulk(person, which)
            self.stdout.write(f"The filter finds {found.count} runs that have not ended.")
            if options["count"] is None:
                confirm(f"{verb.capitalize()} {found.count} runs, for {person.username}?")
            elif options["count"] != found.count:
                raise CommandError(f"They are {found.count}, and not {options['count']}.")
            applied = deeds.steer_many(
                person,
                which,
                verb,
                fingerprint=found.fingerprint,
                reason=options["reason"],
                actor=acting_for(person),
            )
        self.stdout.write(f"Asked {len(applied.done)} runs to {verb}.")
        if applied.unchanged:
            self.stdout.write(f"{len(applied.unchanged)} were asked before.")
        for id, why in applied.refused:
            self.stdout.write(f"{id}: {plain(why)}")
