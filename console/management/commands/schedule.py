"""`manage.py schedule list|create|change|pause|resume|delete|trigger|backfill|ticks`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from console import access, planning
from console.management.people import acting_for, confirm, person_named, plain, table
from console.management.plain import PlainCommand
from console.management.runs import read_json, read_moment, refusals_in_words
from console.models import User
from console.pages.scheduleform import rhythm_words
from runs import schedules
from runs.models import Schedule

WHEN = ("cron", "interval_seconds", "time_zone", "overlap", "catch_up_seconds", "jitter_seconds")


class Command(PlainCommand):
    help = "Have runs start by themselves: show, make and steer schedules."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="show them").add_argument("--user", required=True)
        create = _named(verbs, "create", "make one, owned by the person")
        create.add_argument("--workflow", required=True)
        create.add_argument("--input", default="{}", help="a JSON object")
        _add_when(create)
        change = _named(verbs, "change", "change what is given; the person becomes its owner")
        change.add_argument("--input", help="a JSON object")
        _add_when(change)
        _named(verbs, "pause", "start no more runs").add_argument("--reason", required=True)
        _named(verbs, "resume", "go on with the next time")
        delete = _named(verbs, "delete", "end it; its runs go on")
        delete.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        _named(verbs, "trigger", "start a run of it now, and print its id")
        backfill = _named(verbs, "backfill", "queue a run for each time that has none")
        backfill.add_argument("--since", required=True, help="such as 2026-11-20T00:00Z")
        backfill.add_argument("--until", required=True)
        backfill.add_argument("--count", type=int, help="how many they are: does not ask")
        _named(verbs, "ticks", "show what became of its newest times")

    def handle(self, *args: Any, **options: Any) -> None:
        person = person_named(options["user"])
        with refusals_in_words():
            getattr(self, f"_{options['verb']}")(person, options)

    def _list(self, person: User, _options: dict[str, Any]) -> None:
        rows = [
            (s.name, s.workflow, rhythm_words(s), _next(s), s.owner.get_username())
            for s in access.find_schedules(person)
        ]
        if not rows:
            self.stdout.write("There are no schedules.")
            return
        self.stdout.write(table(("name", "workflow", "when", "next (UTC)", "owner"), rows))

    def _create(self, person: User, options: dict[str, Any]) -> None:
        made = planning.create(
            person,
            actor=acting_for(person),
            name=options["name"],
            workflow=options["workflow"],
            input=_object(options["input"]),
            **_when(options),
        )
        self.stdout.write(str(made.id))

    def _change(self, person: User, options: dict[str, Any]) -> None:
        given = _when(options)
        if options["input"] is not None:
            given["input"] = _object(options["input"])
        if not given:
            raise CommandError("Say what is to be changed.")
        found = _find(person, options)
        changed = planning.change(person, found.id, actor=acting_for(person), **given)
        self.stdout.write(f"Changed. Next: {_next(changed)}.")

    def _pause(self, person: User, options: dict[str, Any]) -> None:
        found = _find(person, options)
        reason = options["reason"]
        planning.pause(person, found.id, reason=reason, actor=acting_for(person))
        self.stdout.write("The schedule is paused.")

    def _resume(self, person: User, options: dict[str, Any]) -> None:
        resumed = planning.resume(person, _find(person, options).id, actor=acting_for(person))
        self.stdout.write(f"The schedule goes on. Next: {_next(resumed)}.")

    def _delete(self, person: User, options: dict[str, Any]) -> None:
        found = _find(person, options)
        if not options["yes"]:
            confirm(f"Delete the schedule {plain(found.name)}? Its runs go on.")
        planning.delete(person, found.id, actor=acting_for(person))
        self.stdout.write("The schedule is deleted.")

    def _trigger(self, person: User, options: dict[str, Any]) -> None:
        run = planning.trigger(person, _find(person, options).id, actor=acting_for(person))
        self.stdout.write(str(run.id))

    def _backfill(self, person: User, options: dict[str, Any]) -> None:
        found = _find(person, options)
        since, until = read_moment(options["since"]), read_moment(options["until"])
        count = planning.count_backfill(person, found.id, since=since, until=until)
        self.stdout.write(f"{count} times have no run.")
        if options["count"] is None:
            confirm(f"Queue {count} runs, for {person.username}?")
        elif options["count"] != count:
            raise CommandError(f"They are {count}, and not {options['count']}.")
        planning.backfill(
            person, found.id, since=since, until=until, count=count, actor=acting_for(person)
        )
        self.stdout.write(f"{count} runs are queued, the oldest first.")

    def _ticks(self, person: User, options: dict[str, Any]) -> None:
        rows = [
            (f"{tick.at:%Y-%m-%d %H:%M:%S}", tick.outcome, tick.run_id or "", tick.because)
            for tick in schedules.recent_ticks(_find(person, options)).select_related(None)
        ]
        self.stdout.write(table(("time (UTC)", "outcome", "run", "why"), rows))


def _named(verbs: Any, verb: str, help: str) -> ArgumentParser:
    parser: ArgumentParser = verbs.add_parser(verb, help=help)
    parser.add_argument("name", help="the schedule's name")
    parser.add_argument("--user", required=True, help="who asks")
    return parser


def _add_when(parser: ArgumentParser) -> None:
    parser.add_argument("--cron", help="five fields, such as '0 9 * * 1-5'")
    parser.add_argument("--interval-seconds", type=int, help="instead of --cron")
    parser.add_argument("--time-zone", help="of --cron, such as Europe/Paris; UTC unless said")
    parser.add_argument("--overlap", choices=Schedule.Overlap.values)
    parser.add_argument("--catch-up-seconds", type=int)
    parser.add_argument("--jitter-seconds", type=int)


def _when(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in WHEN if options[name] is not None}


def _find(person: User, options: dict[str, Any]) -> Schedule:
    access.require(person, "runs.view" if options["verb"] == "ticks" else "runs.start")
    return schedules.get_schedule(tenant=person.tenant, name=options["name"])


def _next(schedule: Schedule) -> str:
    if schedule.paused_at is not None:
        return "paused"
    return f"{schedule.next_at:%Y-%m-%d %H:%M:%S}" if schedule.next_at else "none"


def _object(text: str) -> dict[str, Any]:
    value = read_json(text, "input")
    if not isinstance(value, dict):
        raise CommandError("The input must be a JSON object.")
    return value
