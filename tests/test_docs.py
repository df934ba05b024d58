"""The documents say what the code does: code runs, links lead somewhere, figures are right."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.test import override_settings

from approvals.models import Change, Decision, Freeze, Gate, Notice
from console.composition import compose_executor
from console.roles import RIGHTS, ROLES
from credentials.secrets import grant_scope, write_secret
from runs import declare, effects, registry
from runs.models import Effect, Run, Settlement, Step
from tests.demo.bank_process import BankProcess
from tests.demo.played import vault_identity
from tests.harness import World, as_role

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("runs", "approvals", "credentials", "console")
HOMES = (*ROOMS, "tests")
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *(ROOT / home / "README.md" for home in HOMES)}
)
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
TUTORIAL = ROOT / "docs/how-to/write-a-workflow.md"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [str(block) for block in found]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def section(page: Path, title: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", page.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found, f"{name_of(page)} has no section {title!r}."
    return found[1]


def first_column(text: str) -> list[str]:
    """The names in code type that begin the rows of a table."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


# Form


def test_the_readme_is_one_that_people_read_to_its_end() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = without_code(page.read_text())
    linked = re.findall(r"\]\(([^)\s]+)\)", text)
    linked += re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    for link in linked:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}, which is not there."
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)}: {link} has no such heading."


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", without_code(page.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", page.read_text())
        ahead += [(page.parent / link).resolve() for link in links if ":" not in link]
    assert [name_of(page) for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_names_the_files_that_it_has(room: str) -> None:
    text = (ROOT / room / "README.md").read_text()
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    named = {name.rstrip("/") for cell in cells for name in re.findall(r"`([\w./]+)`", cell)}
    there = {path.name for path in (ROOT / room).iterdir() if path.suffix in ("", ".py")}
    there -= {"__init__.py", "__pycache__", "migrations", "apps.py"}
    assert {name.partition("/")[0] for name in named} == there


# Commands


def commands_in(page: Path) -> list[str]:
    """What a page tells a reader to type: lines of shell blocks, and commands in the text."""
    text = page.read_text()
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return lines + re.findall(r"`((?:\S*manage\.py|make) [^`]+)`", without_code(text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in commands_in(page):
        for target in re.findall(r"(?:^|[ `])make ([a-z]+)", line):
            assert target in targets, f"{name_of(page)}: there is no `make {target}`."


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_is_named_exists_and_takes_its_arguments(page: Path) -> None:
    for line in commands_in(page):
        for words in managed(line):
            parse(words, page)


def managed(line: str) -> Iterator[list[str]]:
    """The commands of manage.py in a line of shell: name and arguments."""
    for call in re.findall(r"manage\.py (?!NAME)(.*?)(?:\)|$)", line):
        words = shlex.split(call, comments=True)
        ends = [i for i, word in enumerate(words) if word in ("|", ">", "&&", ";")]
        yield words[: ends[0]] if ends else words


def parse(words: list[str], page: Path) -> None:
    name, arguments = words[0], words[1:]
    assert name in get_commands(), f"{name_of(page)}: there is no command {name!r}."
    if not arguments:
        return
    command = load_command_class(get_commands()[name], name)
    assert isinstance(command, BaseCommand)
    parser = command.create_parser("manage.py", name)
    known = {option for action in subactions(parser) for option in action.option_strings}
    for option in (word.partition("=")[0] for word in arguments if word.startswith("--")):
        assert option in known, f"{name_of(page)}: `{name}` has no {option}."
    verbs = {verb for a in subactions(parser) for verb in (a.choices or ()) if a.dest == "verb"}
    if verbs:
        assert arguments[0] in verbs, f"{name_of(page)}: `{name}` has no verb {arguments[0]!r}."


def subactions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from subactions(below)


def test_every_command_of_ours_is_on_the_page() -> None:
    ours = {name for name, app in get_commands().items() if str(app).startswith("console")}
    page = section(ROOT / "docs/reference/commands.md", "Commands")
    assert {name.split()[0] for name in first_column(page)} == ours


# Figures


NAMED_LIMIT = re.compile(r"MAX_[A-Z_]+|MIN_[A-Z_]+_CHARACTERS")


def limits_on_the_page() -> dict[str, str]:
    rows = re.findall(
        r"^\| `([\w.]+\.[A-Z_]+)` \| ([\d,.]+) \|", (ROOT / "docs/limits.md").read_text(), re.M
    )
    assert len(rows) == len({name for name, _ in rows}), "A limit is on the page twice."
    return dict(rows)


def limits_in_the_code() -> set[str]:
    """All of `*/limits.py`, and what is called a limit anywhere else in the rooms."""
    found = set()
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        is_all = path.name == "limits.py"
        for node in ast.parse(path.read_text()).body:
            for target in node.targets if isinstance(node, ast.Assign) else ():
                name = target.id if isinstance(target, ast.Name) else ""
                if NAMED_LIMIT.fullmatch(name) or (is_all and name.isupper()):
                    found.add(f"{module}.{name}")
    return found


def test_every_limit_is_on_the_page() -> None:
    assert limits_in_the_code() - set(limits_on_the_page()) == set()


def test_every_limit_on_the_page_has_its_value() -> None:
    for name, shown in limits_on_the_page().items():
        module, _, constant = name.rpartition(".")
        value = getattr(importlib.import_module(module), constant)
        assert Decimal(shown.replace(",", "")) == value, f"{name} is {value}, not {shown}."


# Settings

VARIABLE = re.compile(r"\b(?:PLACET|OTEL)_[A-Z_]+[A-Z]\b")
SETTINGS_PAGE = ROOT / "docs/reference/settings.md"


def test_every_variable_that_the_code_reads_is_on_the_page_and_no_other() -> None:
    read = set(VARIABLE.findall("\n".join(path.read_text() for path in SOURCES)))
    read |= set(VARIABLE.findall((ROOT / "Makefile").read_text()))
    assert set(first_column(SETTINGS_PAGE.read_text())) == read


def test_the_defaults_are_those_of_the_code() -> None:
    code = (ROOT / "console/settings.py").read_text()
    defaults = dict(re.findall(r'(?:setting|number)\("(\w+)", "([^"]*)"\)', code))
    shown = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", SETTINGS_PAGE.read_text(), re.M))
    # Without servers nothing is tried: an address at which nobody listens is no default to name.
    defaults = {name: value for name, value in defaults.items() if ":1/" not in value}
    assert defaults
    assert {name: shown.get(name) for name in defaults} == defaults


def test_no_setting_is_asked_for_that_is_not_there() -> None:
    asked = {
        name
        for path in SOURCES
        for name in re.findall(r'settings(?:\.|, ")(PLACET_[A-Z_]+)', path.read_text())
    }
    assert asked
    assert [name for name in sorted(asked) if not hasattr(settings, name)] == []


# Words

GLOSSARY = ROOT / "docs/glossary.md"


@pytest.mark.parametrize(
    ("title", "values"),
    [
        ("States of a run", set(Run.Status.values)),
        ("States of a step", set(Step.Status.values)),
        ("States of a gate", set(Gate.Status.values)),
        ("States of a change", set(Change.Status.values)),
        ("Scopes of a freeze", set(Freeze.Scope.values)),
        ("States of an effect", set(Effect.Status.values)),
        ("Kinds of a step", set(Step.Kind.values)),
        ("Verdicts and methods", {*Decision.Verdict.values, *Decision.Method.values}),
        ("Answers about a step", set(Settlement.Answer.values)),
        ("Kinds of a notice", set(Notice.Kind.values)),
        ("Effect classes", set(declare.EFFECTS)),
        ("Roles", set(ROLES)),
    ],
)
def test_every_value_is_explained_and_no_other(title: str, values: set[str]) -> None:
    assert set(first_column(section(GLOSSARY, title))) == values


def test_every_row_is_explained() -> None:
    ours = {
        f"{model._meta.app_label}.{model.__name__}"
        for room in ROOMS
        for model in apps.get_app_config(room).get_models()
    }
    assert set(first_column(section(GLOSSARY, "Rows"))) == ours


def test_every_kind_of_event_is_explained_and_no_other() -> None:
    code = "\n".join(path.read_text() for room in ROOMS[:2] for path in (ROOT / room).rglob("*.py"))
    literal = set(
        re.findall(
            r"""["']((?:run|step|signal|question|completion|gate|decision|settlement)\.[a-z_]+)["']""",
            code,
        )
    ) - {"gate.kept"}
    by_status = {f"run.{s}" for s in Run.Status.values} | {f"step.{s}" for s in Step.Status.values}
    explained = set(first_column(section(GLOSSARY, "Events")))
    assert literal - explained == set()
    assert explained - literal - by_status == set()


def test_every_attack_on_the_page_has_its_test() -> None:
    page = (ROOT / "docs/reference/attacks.md").read_text()
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(named) == page.count("\n| ") - 1, "each attack has a test"
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests/approvals" / file).read_text(), (file, test)


def test_every_right_is_explained() -> None:
    text = section(GLOSSARY, "Roles")
    shown = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", text, re.MULTILINE))
    rights = {
        role: {right for right, holders in RIGHTS.items() if role in holders} for role in shown
    }
    assert {role: set(re.findall(r"`([\w.]+)`", cell)) for role, cell in shown.items()} == rights


# Code


@pytest.fixture
def refunds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of the tutorial, its declarations registered as `migrate` registers them."""
    path = tmp_path / "refunds.py"
    path.write_text("\n\n".join(blocks(TUTORIAL, "python")))
    (tmp_path / "claims-2026-10.csv").write_text(
        "person,iban,amount_minor\n"
        "Ines Duarte,DE89370400440532013000,4250\n"
        "Tom Hale,GB29NWBK60161331926819,12900\n"
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(declare.TOOLS), set(declare.WORKFLOWS)
    sys.path.insert(0, str(tmp_path))
    try:
        with override_settings(PLACET_WORKFLOWS=[*settings.PLACET_WORKFLOWS, "refunds"]):
            registry.discover()
        with as_role("placet_owner"):
            registry.register(registry.collect())
        yield sys.modules["refunds"]
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("refunds", None)
        forget_all_but(*before)
        with as_role("placet_owner"):
            registry.register(registry.collect())


def forget_all_but(tools: set[str], workflows: set[str]) -> None:
    for known, kept in ((declare.TOOLS, tools), (declare.WORKFLOWS, workflows)):
        for name in set(known) - kept:
            del known[name]


@pytest.fixture
def bank(world: World, refunds: ModuleType, tmp_path: Path) -> Iterator[BankProcess]:
    """The sample bank, its key in the vault, and leave for the tutorial's tool to use it."""
    world.policy(name="Refunds up to 500 euro", tool="pay_refund", up_to_minor=50_000)
    with BankProcess(tmp_path / "bank") as bank:
        with vault_identity(world.servers, "web"), as_role("placet_web"):
            secret = write_secret(
                tenant=world.tenant,
                path="bank/payments",
                fields={"api_key": bank.api_key},
                description="",
                person=world.erin,
            )
            grant_scope(tenant=world.tenant, tool="pay_refund", secret=secret, person=world.erin)
        compose_executor()
        with override_settings(PLACET_DEMO_BANK_URL=bank.url):
            yield bank
        effects.plug_credentials(None)


def settle(world: World) -> None:
    with vault_identity(world.servers, "executor"):
        world.settle()


def notices(refunds: ModuleType) -> list[str]:
    return (Path(str(refunds.__file__)).parent / "notices.txt").read_text().splitlines()


def test_the_tutorial_pays_what_was_consented_to_once(
    world: World, refunds: ModuleType, bank: BankProcess
) -> None:
    run = world.start("refund_expenses", month="2026-10")
    settle(world)
    assert world.run_now(run).status == "waiting"
    assert bank.payments() == []
    ines, tom = world.gates(run)
    bank.switch(drop=1)
    world.decide(ines, world.bob)
    world.decide(tom, world.bob, "deny", "There is no receipt.")
    until = time.monotonic() + 30
    while world.run_now(run).finished_at is None:
        assert time.monotonic() < until, world.run_now(run).waiting_for
        settle(world)
        time.sleep(0.02)
    (line, other) = world.result(run)["lines"]
    assert line == "Ines Duarte: paid"
    assert other == "Tom Hale: not consented to (bob denied it: There is no receipt.)"
    assert [payment["amount_minor"] for payment in bank.payments()] == [4250]
    (counts,) = bank.calls().values()
    assert (counts["calls"], counts["performed"]) == (2, 1)
    assert notices(refunds) == [f"Refunds of 2026-10: {line}; {other}"]


def test_the_tutorial_refuses_a_month_without_claims(
    world: World, refunds: ModuleType, bank: BankProcess
) -> None:
    run = world.start("refund_expenses", month="2026-11")
    settle(world)
    error = world.run_now(run).error
    assert error is not None and error["message"] == "There are no claims for '2026-11'."


def test_the_tutorial_reminds(world: World, refunds: ModuleType) -> None:
    run = world.start("remind", text="Close the books", after_minutes=0)
    settle(world)
    assert world.run_now(run).status == "succeeded"
    assert len(notices(refunds)) == 1


def test_the_tutorial_says_which_tools_may_be_called_directly(refunds: ModuleType) -> None:
    assert refunds.read_claims(None, month="2026-10")[0]["person"] == "Ines Duarte"
    with pytest.raises(Exception, match=r"use run\.call\(pay_refund"):
        refunds.pay_refund(None)


def test_the_workflow_of_the_readme_can_be_declared() -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    before = set(declare.TOOLS), set(declare.WORKFLOWS)
    try:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        assert declare.TOOLS["pay_rent"].money is not None
        assert declare.WORKFLOWS["rent"].checked_input({"iban": "x", "amount_minor": 1})
    finally:
        forget_all_but(*before)


def test_the_calls_of_run_on_the_page_are_those_that_there_are() -> None:
    from runs.context import RunContext

    text = section(TUTORIAL, "The workflow")
    shown = set(re.findall(r"^\| .*?`run\.(\w+)", text, re.MULTILINE))
    shown |= set(re.findall(r"^\| .*?, `run\.(\w+)", text, re.MULTILINE))
    public = {name for name in vars(RunContext) if not name.startswith("_")}
    assert shown == public
