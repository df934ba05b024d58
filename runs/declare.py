"""What authors write: `@workflow`, `@tool`, and what their arguments mean."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_type_hints

import pydantic

from runs import canonical, limits, reserved
from runs.errors import DirectCallRefused, InvalidArguments, InvalidInput, NotCanonical
from runs.probes import Answer
from runs.retries import Retry

EffectClass = Literal["safe", "keyed", "probed", "once"]
EFFECTS: tuple[EffectClass, ...] = ("safe", "keyed", "probed", "once")
Probe = Callable[..., Answer]

WORKFLOWS: dict[str, Workflow] = {}
TOOLS: dict[str, Tool] = {}


@dataclass(frozen=True, kw_only=True)
class Money:
    """Which arguments of a tool say what it pays: amount in minor units, currency, payee.

    The payee is the account that gets the money. `payee_name` may say which argument holds
    the name that people know it by; nothing is ever decided by a name.
    """

    amount: str
    currency: str
    payee: str
    payee_name: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arguments that must exist."""
        named = (self.amount, self.currency, self.payee, self.payee_name)
        return tuple(name for name in named if name)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tool:
    """A declared function that steps call."""

    name: str
    function: Callable[..., Any]
    effect: EffectClass
    money: Money | None
    secret: str
    retry: Retry
    version: int
    arguments_model: type[pydantic.BaseModel] = field(repr=False)
    probe: Probe | None = None
    timeout_seconds: float = limits.TIMEOUT_SECONDS
    heartbeat_seconds: float | None = None
    undo: Tool | str | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_remote:
            raise DirectCallRefused(
                f"{self.name} has effects or uses a secret, so it cannot be called directly; "
                f"use run.call({self.name}, ...) in a workflow."
            )
        return self.function(*args, **kwargs)

    @property
    def is_remote(self) -> bool:
        """Whether its steps run in the executor: it has effects, or uses a secret."""
        return self.effect != "safe" or bool(self.secret)

    @property
    def undo_tool(self) -> Tool | None:
        """The tool that takes back what this one did. Raises `ValueError` where it names none."""
        if not isinstance(self.undo, str):
            return self.undo
        if self.undo not in TOOLS:
            raise ValueError(f"{self.name}: undo names {self.undo!r}, and no tool is called so.")
        return TOOLS[self.undo]

    def undo_arguments(
        self, original_arguments: dict[str, Any], result: Any, original_key: str
    ) -> dict[str, Any]:
        """What `undo_tool` is called with: of the step's arguments, its result and its key,
        those that the undo takes by these names."""
        undo = self.undo_tool
        if undo is None:
            raise ValueError(f"{self.name} has no undo.")
        known = {**original_arguments, "result": result, "original_key": original_key}
        return {name: known[name] for name in undo.arguments_model.model_fields if name in known}

    def check_undo(self) -> None:
        """Raises `ValueError` unless the undo exists, and what it needs will be known."""
        undo = self.undo_tool
        if undo is None:
            return
        if undo.effect == "safe":
            raise ValueError(f"{self.name}: its undo {undo.name} is safe, so it undoes nothing.")
        known = {*self.arguments_model.model_fields, "result", "original_key"}
        wanted = undo.arguments_model.model_fields.items()
        unknown = [name for name, one in wanted if one.is_required() and name not in known]
        if unknown:
            raise ValueError(
                f"{self.name}: its undo {undo.name} needs {', '.join(unknown)}, which is neither"
                " an argument of it, nor result, nor original_key."
            )

    @property
    def declaration(self) -> dict[str, Any]:
        """What is registered, and named by its digest in every envelope.

        What a tool does not say is left out: digests of tools that do not say it stay as they
        were before it could be said.
        """
        money = self.money and {
            "amount": self.money.amount,
            "currency": self.money.currency,
            "payee": self.money.payee,
            "payee_name": self.money.payee_name,
        }
        return {
            "name": self.name,
            "version": self.version,
            "effect": self.effect,
            "money": money,
            "secret": self.secret,
            "schema": _schema(self.arguments_model),
        } | self._way_back()

    def _way_back(self) -> dict[str, str]:
        if self.undo is None:
            return {}
        return {"undo": self.undo if isinstance(self.undo, str) else self.undo.name}

    @property
    def declaration_digest(self) -> str:
        return declaration_digest(self.declaration)

    def arguments(self, given: dict[str, Any]) -> bytes:
        """The canonical bytes of a call's arguments; raises `InvalidArguments`."""
        checked = _validated(self.arguments_model, self.name, given)
        if self.money is not None:
            checked = canonical.strict(checked)
            money = self.money
            canonical.check_money(
                checked[money.amount], checked[money.currency], checked[money.payee]
            )
        try:
            return canonical.encode(checked)
        except NotCanonical as error:
            raise InvalidArguments(f"{self.name}: {error}") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Workflow:
    """A declared function that runs execute."""

    name: str
    version: int
    function: Callable[..., Any]
    input_model: type[pydantic.BaseModel] = field(repr=False)
    deadline_seconds: int | None = None
    agent: str = ""

    def checked_input(self, given: dict[str, Any]) -> dict[str, Any]:
        """The input, defaults filled in; raises `InvalidInput`."""
        try:
            return self.input_model.model_validate(given).model_dump()
        except pydantic.ValidationError as error:
            raise InvalidInput(_faults(error)) from error


def declaration_digest(declaration: dict[str, Any]) -> str:
    encoded = canonical.encode(declaration)
    return hashlib.sha256(b"placet/declaration/v1\0" + encoded).hexdigest()


def workflow(
    name: str, *, version: int, deadline_seconds: int | None = None, agent: str = ""
) -> Callable[[Callable[..., Any]], Workflow]:
    """Declares `function(run, *, ...)` as the workflow `name`.

    `agent` is on whose part its runs act, by a name that policies may ask about; without one a
    rule about agents holds what its runs ask for, because nobody can tell.

    A run of it that has not ended `deadline_seconds` after its start is ended as failed; a
    start may say otherwise for one run.
    """
    longest = limits.MAX_DEADLINE_SECONDS
    if deadline_seconds is not None and not 1 <= deadline_seconds <= longest:
        raise ValueError(f"{name}: deadline_seconds is from 1 to {longest}.")

    reserved.check_agent(agent)

    def declare(function: Callable[..., Any]) -> Workflow:
        reserved.check_name(name)
        if name in WORKFLOWS:
            raise ValueError(f"Two workflows are called {name!r}.")
        declared = Workflow(
            name=name,
            version=version,
            function=function,
            input_model=_model(function, name),
            deadline_seconds=deadline_seconds,
            agent=agent,
        )
        WORKFLOWS[name] = declared
        return declared

    return declare


def tool(
    *,
    effect: EffectClass,
    money: Money | None = None,
    secret: str = "",
    retry: Retry | None = None,
    version: int = 1,
    probe: Probe | None = None,
    timeout: float | None = None,
    heartbeat_seconds: float | None = None,
    undo: Tool | str | None = None,
    name: str = "",
) -> Callable[[Callable[..., Any]], Tool]:
    """Declares `function(call, *, ...)` as a tool, called `name` or as the function is.

    `effect` has no default: `safe` may be run again freely, `keyed` may be run again with the
    same idempotency key, `probed` after its `probe(call, *, ...)` has said what became of it,
    `once` is never run again by the machine.

    An attempt takes at most `timeout` seconds (`limits.TIMEOUT_SECONDS` without one); a tool
    that beats at least every `heartbeat_seconds` may take `limits.MAX_TIMEOUT_SECONDS`.
    `undo` is the tool that takes its effect back, or the name of one. A `secret` may name an
    argument in braces, as `notices/{channel}`: then the step's argument says which secret it is.
    """
    given = name
    _check_class(effect, money=money, probe=probe, undo=undo)

    def declare(function: Callable[..., Any]) -> Tool:
        name = given or function.__name__
        reserved.check_name(name)
        if name in TOOLS:
            raise ValueError(f"Two tools are called {name!r}.")
        model = _model(function, name)
        _check_secret(secret, name, model, money)
        for argument in () if money is None else money.arguments:
            if argument not in model.model_fields:
                raise ValueError(f"{name}: money names {argument!r}, which is no argument of it.")
        _check_probe(probe, name, model)
        declared = Tool(
            name=name,
            function=function,
            effect=effect,
            money=money,
            secret=secret,
            retry=retry or Retry(),
            version=version,
            arguments_model=model,
            probe=probe,
            timeout_seconds=_timeout(timeout, heartbeat_seconds, effect == "safe" and not secret),
            heartbeat_seconds=heartbeat_seconds,
            undo=undo,
        )
        TOOLS[name] = declared
        return declared

    return declare


def _check_class(
    effect: EffectClass, *, money: Money | None, probe: Probe | None, undo: Tool | str | None
) -> None:
    if effect not in EFFECTS:
        raise ValueError(f"effect={effect!r}: it must be one of {', '.join(EFFECTS)}.")
    if money is not None and effect == "safe":
        raise ValueError("A tool that moves money is not safe: declare it keyed, probed or once.")
    if (effect == "probed") != (probe is not None):
        raise ValueError("A probed tool has a probe=, and no other tool has one.")
    if undo is not None and effect == "safe":
        raise ValueError("A safe tool has no effect, so it has no undo=.")


def _check_probe(probe: Probe | None, name: str, model: type[pydantic.BaseModel]) -> None:
    """A probe is called as `probe(call, **arguments)`, with the arguments of its tool."""
    if probe is None:
        return
    try:
        inspect.signature(probe).bind(None, **dict.fromkeys(model.model_fields))
    except TypeError as error:
        raise ValueError(
            f"{name}: its probe does not take call and the arguments of the tool: {error}."
        ) from error


def _check_secret(
    secret: str, name: str, model: type[pydantic.BaseModel], money: Money | None
) -> None:
    """Which secret a payment uses is never for its arguments to say."""
    places = reserved.places_in(secret)
    if places and money is not None:
        raise ValueError(f"{name}: a tool that moves money names its secret in full.")
    for place in places:
        if place not in model.model_fields:
            raise ValueError(f"{name}: its secret names {place!r}, which is no argument of it.")


def _timeout(timeout: float | None, heartbeat_seconds: float | None, is_local: bool) -> float:
    longest = limits.MAX_LOCAL_TIMEOUT_SECONDS if is_local else limits.MAX_TIMEOUT_SECONDS
    for seconds in (timeout, heartbeat_seconds):
        if seconds is not None and not 0 < seconds <= longest:
            raise ValueError(f"An attempt takes more than 0 and at most {longest} seconds.")
    if timeout is not None:
        return timeout
    return longest if heartbeat_seconds is not None else limits.TIMEOUT_SECONDS


def _model(function: Callable[..., Any], name: str) -> type[pydantic.BaseModel]:
    """A strict model of the keyword arguments after the first positional one."""
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or any(p.kind is not p.KEYWORD_ONLY for p in parameters[1:]):
        raise ValueError(f"{name}: it must take one argument, and all others by keyword only.")
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in parameters[1:]
    }
    config = pydantic.ConfigDict(extra="forbid", strict=True)
    return pydantic.create_model(name, __config__=config, **fields)


@cache
def _schema(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _validated(model: type[pydantic.BaseModel], name: str, given: dict[str, Any]) -> dict[str, Any]:
    try:
        return model.model_validate(given).model_dump()
    except pydantic.ValidationError as error:
        raise InvalidArguments(
            f"{name}: " + " ".join(f"{pointer}: {text}" for pointer, text in _faults(error))
        ) from error


def _faults(error: pydantic.ValidationError) -> list[tuple[str, str]]:
    return [
        (pointer(fault["loc"]), f"{fault['msg']}.")
        for fault in error.errors(include_url=False, include_input=False)
    ]


def pointer(parts: Iterable[Any]) -> str:
    """The JSON Pointer (RFC 6901) of a place in a value; empty for the whole."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def shortened(message: str, most: int = limits.MAX_ERROR_CHARACTERS) -> str:
    """A message for people, cut to the named limit."""
    return message if len(message) <= most else message[: most - 1] + "…"
