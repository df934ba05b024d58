"""Leading a person to what a form refused."""

from __future__ import annotations

from django import forms


def focus_first(form: forms.Form) -> None:
    """Put the focus on the first field with a fault; browsers scroll there without scripts."""
    for name in form.errors:
        if name in form.fields and not form.fields[name].widget.is_hidden:
            form.fields[name].widget.attrs["autofocus"] = True
            return
