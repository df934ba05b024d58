"""Policies as people write them: YAML or JSON, read so that what stands there is what is meant.

YAML is read by the few forms of its JSON schema (version 1.2): `no` is the text "no", `18:00`
is a text and not 1080, `010` is not 8, a date is a text. Anchors, tags and keys that come twice
are refused: what a reader would not see must not decide.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from approvals import limits
from approvals.rules.faults import InvalidPolicy, shown

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)")
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def read(text: str) -> Any:
    """What the text says, as JSON values. Raises `InvalidPolicy` with line and column."""
    if len(text) > limits.MAX_POLICY_TEXT or len(text.encode(errors="replace")) > (
        limits.MAX_POLICY_TEXT
    ):
        raise _fault(f"The text is longer than {limits.MAX_POLICY_TEXT} bytes.")
    if text.lstrip().startswith("{"):
        try:
            return _read_json(text)
        except json.JSONDecodeError:
            # A mapping of YAML may begin like one of JSON.
            pass
    return _read_yaml(text)


def write_json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def write_yaml(document: dict[str, Any]) -> str:
    return yaml.dump(
        document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=88, indent=2
    )


def _fault(sentence: str) -> InvalidPolicy:
    return InvalidPolicy([("", sentence)])


def _read_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_int=_integer)
    except RecursionError as error:
        raise _fault(TOO_DEEP) from error


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _fault(f"The key {shown(twice)!r} stands twice in one mapping.")
    return made


def _integer(digits: str) -> int:
    """Python refuses very long numbers with an error of its own."""
    if len(digits) > 20:
        raise _fault(f"The number {digits[:20]}... is too long.")
    return int(digits)


def _read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _fault(f"This is no YAML: {_problem(error)}{_at(error.problem_mark)}.") from error
    except yaml.YAMLError as error:
        raise _fault("This is no YAML: it has a character that YAML does not allow.") from error
    except RecursionError as error:
        raise _fault(TOO_DEEP) from error


def _problem(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return shown(", ".join(parts), 200) or "it cannot be read"


def _at(mark: Any) -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""


TOO_DEEP = "The policy is nested too deeply."


class _Loader(yaml.SafeLoader):
    """YAML of which nothing is guessed."""

    yaml_implicit_resolvers: dict[Any, Any] = {}
    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _fault(f"Aliases are not read{_at(event.start_mark)}; write it out.")
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise _fault(f"Anchors and tags are not read{_at(event.start_mark)}.")
        if self.depth >= limits.MAX_POLICY_DEPTH:
            raise _fault(TOO_DEEP)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is ScalarNode and implicit[0]:
            return "!plain"
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]


def _plain(loader: _Loader, node: ScalarNode) -> Any:
    """A word without quotes: nothing, true, false, a whole number, or text; 1.5 is text."""
    value = node.value
    if value in WORDS:
        return WORDS[value]
    if NUMBER.fullmatch(value):
        return _integer(value)
    return value


def _mapping(loader: _Loader, node: MappingNode) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        where = _at(key_node.start_mark)
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _fault(f"A key must be text{where}.")
        if key in made:
            raise _fault(f"The key {shown(key)!r} stands twice in one mapping{where}.")
        made[key] = loader.construct_object(value_node, deep=True)
    return made


_Loader.add_constructor("!plain", _plain)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


class _Dumper(yaml.SafeDumper):
    """Texts that other readers of YAML could take for something else are written in quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)
