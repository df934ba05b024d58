"""The form that starts a run, made from the JSON Schema of the workflow's input.

Simple properties become fields of their own; everything else is typed as JSON. The
schema itself is checked by `start_run`, whose faults come back to the fields they name.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from django import forms

from console import strictjson


class JsonField(forms.CharField):
    """A JSON value, read as strictly as the API reads it; what was typed is kept."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"class": "input input-code", "spellcheck": "false", "rows": 4}
        super().__init__(widget=forms.Textarea(attrs=attrs), strip=True, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return strictjson.parse(text.encode())
        except strictjson.BadJson as fault:
            raise forms.ValidationError(fault.detail) from None


class StartForm(forms.Form):
    """One field a property; `form_id` makes a second press of the button the same start."""

    form_id = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, schema: dict[str, Any], data: Any = None) -> None:
        super().__init__(data, initial={"form_id": uuid.uuid4()})
        required = set(schema.get("required", ()))
        for name, property in schema.get("properties", {}).items():
            is_required = name in required
            self.fields[f"input.{name}"] = _field(name, property, is_required=is_required)

    def take_faults(self, faults: list[tuple[str, str]]) -> None:
        """Put each fault of the input (JSON pointer, sentence) at the field that it names."""
        for pointer, sentence in faults:
            parts = pointer.split("/")
            field = f"input.{parts[1]}" if len(parts) > 1 else ""
            inner = "/".join(parts[2:])
            said = f"{inner}: {sentence}" if inner else sentence
            self.add_error(field if field in self.fields else None, said)


def read_input(form: StartForm) -> dict[str, Any]:
    """The input as typed; what was left empty is left to the workflow's default."""
    given = {}
    for name, typed in form.cleaned_data.items():
        if name.startswith("input.") and typed not in (None, ""):
            given[name.removeprefix("input.")] = typed
    return given


def of_input(schema: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The schema of an input, with what was given before as its defaults."""
    shown = {
        name: property | ({"default": given[name]} if name in given else {})
        for name, property in schema.get("properties", {}).items()
    }
    return schema | {"properties": shown}


def _field(name: str, property: dict[str, Any], *, is_required: bool) -> forms.Field:
    kind = property.get("type")
    common: dict[str, Any] = {
        "label": name,
        "required": is_required,
        "initial": property.get("default"),
        "help_text": property.get("description", ""),
    }
    field = _of_kind(kind, property, common)
    field.note = "" if is_required else "optional"  # type: ignore[attr-defined]
    field.widget.attrs.setdefault("class", "input")
    return field


def _of_kind(kind: Any, property: dict[str, Any], common: dict[str, Any]) -> forms.Field:
    if "enum" in property and all(isinstance(v, str) for v in property["enum"]):
        choices = [("", "Choose")] + [(v, v) for v in property["enum"]]
        return forms.ChoiceField(choices=choices, **common)
    if kind == "string":
        return forms.CharField(max_length=10_000, **common)
    if kind == "integer":
        return forms.IntegerField(**common)
    if kind == "boolean":
        common["initial"] = {True: "true", False: "false"}.get(common["initial"], "")
        choices = [("", "Not said"), ("true", "Yes"), ("false", "No")]
        return forms.TypedChoiceField(
            choices=choices, coerce=lambda v: v == "true", empty_value=None, **common
        )
    common["initial"] = _as_text(common["initial"])
    common["help_text"] = common["help_text"] or 'A JSON value, for example [1, 2] or "text".'
    return JsonField(**common)


def _as_text(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, indent=2)
