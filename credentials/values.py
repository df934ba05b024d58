"""Values of secrets in memory: usable where they are needed, shown nowhere by accident."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, Self

from credentials.errors import LeaseEnded


def marker(reference: str) -> str:
    """What stands in the place of a value; it names the value and shows nothing of it."""
    return f"[redacted:{reference}]"


class SecretText(str):
    """A value that works wherever a string does, but is not shown by repr and not pickled.

    A traceback with local variables, a debugger's view and an assertion's message all show
    the repr. `str()` and formatting give the value: a header could not be built otherwise.
    """

    __slots__ = ("_reference",)
    _reference: str

    def __new__(cls, value: str, reference: str) -> Self:
        text = super().__new__(cls, value)
        text._reference = reference
        return text

    def __repr__(self) -> str:
        return f"'{marker(self._reference)}'"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"The value of {self._reference} cannot be pickled or copied.")


class SecretRef(Mapping[str, str]):
    """The fields of one leased secret, for as long as the lease lasts.

    `secret["api_key"]` is the value. Printed, formatted or shown in a traceback it is the
    reference only; after `forget` there is nothing left to look at.
    """

    __slots__ = ("_fields", "_reference")

    def __init__(self, reference: str, fields: Mapping[str, SecretText]) -> None:
        self._reference = reference
        self._fields: dict[str, SecretText] | None = dict(fields)

    def __getitem__(self, name: str) -> str:
        fields = self._held()
        if name not in fields:
            raise KeyError(f"The secret {self._reference} has no field {name!r}.")
        return fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __len__(self) -> int:
        return len(self._held())

    def __repr__(self) -> str:
        return f"<secret {self._reference}>"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"The secret {self._reference} cannot be pickled or copied.")

    def forget(self) -> None:
        self._fields = None

    def _held(self) -> dict[str, SecretText]:
        if self._fields is None:
            raise LeaseEnded(f"The lease of the secret {self._reference} has ended.")
        return self._fields
