"""What authors write: `@workflow`, `@tool`, and what their arguments mean."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

import pydantic

from runs import canonical, limits
from runs.errors import DirectCallRefused, InvalidArguments, InvalidInput, NotCanonical

EffectClass = Literal["safe", "keyed", "once"]
EFFECTS: tuple[EffectClass, ...] = ("safe", "keyed", "once")

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


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often a failing step is tried, and how long between: full jitter below
    `base_seconds * 2 ** failures`, never more than `cap_seconds`."""

    attempts: int = 5
    base_seconds: float = 1.0
    cap_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 100:
            raise ValueError("Retry.attempts must be from 1 to 100.")
        if self.base_seconds < 0 or self.cap_seconds < 0:
            raise ValueError("Retry spans cannot be negative.")

    def longest_wait_seconds(self, failures: int) -> float:
        """The upper bound of the wait after so many failures (1 or more)."""
        return float(min(self.cap_seconds, self.base_seconds * 2 ** min(failures - 1, 60)))


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
    def declaration(self) -> dict[str, Any]:
        """What is registered, and named by its digest in every envelope."""
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
            "schema": self.arguments_model.model_json_schema(),
        }

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

    def checked_input(self, given: dict[str, Any]) -> dict[str, Any]:
        """The input, defaults filled in; raises `InvalidInput`."""
        try:
            return self.input_model.model_validate(given).model_dump()
        except pydantic.ValidationError as error:
            raise InvalidInput(_faults(error)) from error


def declaration_digest(declaration: dict[str, Any]) -> str:
    encoded = canonical.encode(declaration)
    return hashlib.sha256(b"placet/declaration/v1\0" + encoded).hexdigest()


def workflow(name: str, *, version: int) -> Callable[[Callable[..., Any]], Workflow]:
    """Declares `function(run, *, ...)` as the workflow `name`."""

    def declare(function: Callable[..., Any]) -> Workflow:
        if name in WORKFLOWS:
            raise ValueError(f"Two workflows are called {name!r}.")
        declared = Workflow(
            name=name, version=version, function=function, input_model=_model(function, name)
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
) -> Callable[[Callable[..., Any]], Tool]:
    """Declares `function(call, *, ...)` as a tool.

    `effect` has no default: `safe` may be run again freely, `keyed` may be run again with
    the same idempotency key, `once` is never run again by the machine.
    """
    if effect not in EFFECTS:
        raise ValueError(f"effect={effect!r}: it must be one of {', '.join(EFFECTS)}.")
    if money is not None and effect == "safe":
        raise ValueError("A tool that moves money is not safe: declare it keyed or once.")

    def declare(function: Callable[..., Any]) -> Tool:
        name = function.__name__
        if name in TOOLS:
            raise ValueError(f"Two tools are called {name!r}.")
        model = _model(function, name)
        for argument in () if money is None else money.arguments:
            if argument not in model.model_fields:
                raise ValueError(f"{name}: money names {argument!r}, which is no argument of it.")
        declared = Tool(
            name=name,
            function=function,
            effect=effect,
            money=money,
            secret=secret,
            retry=retry or Retry(),
            version=version,
            arguments_model=model,
        )
        TOOLS[name] = declared
        return declared

    return declare


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
