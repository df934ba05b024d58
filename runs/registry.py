"""Finding what authors declared, and registering it in the database.

Discovery imports the code of agents, so only the worker, the executor and the command
`declarations` do it, which has no credentials. The owner registers what that command
printed (`console.declarations`), and the other processes read what was registered.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Annotated, Any

import pydantic
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from runs import limits, reserved
from runs.declare import TOOLS, WORKFLOWS, EffectClass, declaration_digest
from runs.errors import NotCanonical
from runs.models import Declaration, WorkflowDeclaration

Declared = dict[str, list[dict[str, Any]]]
Name = Annotated[str, pydantic.Field(min_length=1, max_length=128)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class _Money(_Strict):
    amount: Name
    currency: Name
    payee: Name
    payee_name: str


class _Schema(pydantic.BaseModel):
    """A JSON Schema of keyword arguments; what more it says is the author's."""

    model_config = pydantic.ConfigDict(extra="allow", strict=True)
    properties: dict[str, Any] = {}


class _Tool(_Strict):
    name: Name
    version: Annotated[int, pydantic.Field(ge=0, le=2_147_483_647)]
    effect: EffectClass
    money: _Money | None
    secret: str
    schema_: _Schema = pydantic.Field(alias="schema")
    undo: Name | None = None

    @pydantic.model_validator(mode="after")
    def _is_one_that_could_be_declared(self) -> _Tool:
        reserved.check_name(self.name)
        if reserved.is_own(self.name) and self.money is not None:
            raise ValueError("what is Placet's own moves no money")
        if reserved.places_in(self.secret) and self.money is not None:
            raise ValueError("a tool that moves money names its secret in full")
        if self.effect == "safe" and (self.money is not None or not self.secret):
            raise ValueError("a safe tool without a secret, or with money, is not registered")
        named = () if self.money is None else tuple(self.money.model_dump().values())
        for argument in filter(None, named):
            if argument not in self.schema_.properties:
                raise ValueError(f"money names {argument!r}, which is no argument")
        if self.effect == "safe" and self.undo is not None:
            raise ValueError("a safe tool has no undo")
        return self


class _Workflow(_Strict):
    name: Name
    version: Annotated[int, pydantic.Field(ge=0, le=2_147_483_647)]
    schema_: _Schema = pydantic.Field(alias="schema")
    summary: Annotated[str, pydantic.Field(max_length=255)]
    deadline_seconds: (
        Annotated[int, pydantic.Field(ge=1, le=limits.MAX_DEADLINE_SECONDS)] | None
    ) = None
    agent: str = ""

    @pydantic.model_validator(mode="after")
    def _names_an_agent_that_could_be_declared(self) -> _Workflow:
        reserved.check_agent(self.agent)
        return self


class _Declared(_Strict):
    tools: list[_Tool]
    workflows: list[_Workflow]

    @pydantic.model_validator(mode="after")
    def _has_each_name_once(self) -> _Declared:
        for named in ([t.name for t in self.tools], [w.name for w in self.workflows]):
            if len(named) != len(set(named)):
                raise ValueError("a name is declared twice")
        with_effects = {tool.name for tool in self.tools if tool.effect != "safe"}
        for undo in filter(None, (tool.undo for tool in self.tools)):
            if undo not in with_effects:
                raise ValueError(f"undo names {undo!r}, and no tool with effects is called so")
        return self


def discover() -> None:
    """Imports `workflows` of every installed app and every module of `PLACET_WORKFLOWS`."""
    for config in apps.get_app_configs():
        if importlib.util.find_spec(f"{config.name}.workflows") is not None:
            importlib.import_module(f"{config.name}.workflows")
    for module in settings.PLACET_WORKFLOWS:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise ImproperlyConfigured(
                f"PLACET_WORKFLOWS names {module!r}, which cannot be imported: {error}."
            ) from error
    check_undos()


def check_undos() -> None:
    """Raises `ImproperlyConfigured` where a tool names an undo that cannot be one.

    Not earlier: the undo of a tool may be declared below it, or in another module.
    """
    try:
        for tool in TOOLS.values():
            tool.check_undo()
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from error


def collect() -> Declared:
    """What the code in this process declares, as values of JSON."""
    return {
        "tools": [tool.declaration for tool in TOOLS.values() if tool.is_remote],
        "workflows": [
            {
                "name": workflow.name,
                "version": workflow.version,
                "schema": workflow.input_model.model_json_schema(),
                "deadline_seconds": workflow.deadline_seconds,
                "agent": workflow.agent,
                "summary": (workflow.function.__doc__ or "").strip().split("\n")[0][:255],
            }
            for workflow in WORKFLOWS.values()
        ],
    }


def register(declared: Declared) -> None:
    """Writes these declarations; what is not among them is kept, not current.

    Nothing in `declared` is believed: its shape is checked, and digests are made here.
    """
    try:
        _Declared.model_validate(declared)
        digests = [_register_tool(declaration) for declaration in declared["tools"]]
    except (pydantic.ValidationError, NotCanonical) as error:
        raise ImproperlyConfigured(f"What workflows declare is malformed: {_told(error)}") from None
    Declaration.objects.exclude(digest__in=digests).update(is_current=False)
    for workflow in declared["workflows"]:
        values = {key: workflow[key] for key in ("version", "schema", "summary")}
        values["deadline_seconds"] = workflow.get("deadline_seconds")
        values["agent"] = workflow.get("agent", "")
        WorkflowDeclaration.objects.update_or_create(
            name=workflow["name"], defaults=values | {"is_current": True}
        )
    names = [workflow["name"] for workflow in declared["workflows"]]
    WorkflowDeclaration.objects.exclude(name__in=names).update(is_current=False)


def _register_tool(declaration: dict[str, Any]) -> str:
    digest = declaration_digest(declaration)
    Declaration.objects.update_or_create(
        digest=digest,
        defaults={
            "tool": declaration["name"],
            "is_money": declaration["money"] is not None,
            "body": declaration,
            "is_current": True,
        },
    )
    return digest


def _told(error: pydantic.ValidationError | NotCanonical) -> str:
    if isinstance(error, NotCanonical):
        return str(error)
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}."
