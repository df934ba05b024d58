"""What may be stored as the fields of a secret. Whatever is stored can later be scrubbed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from credentials.errors import InvalidSecret
from credentials.paths import WORD
from credentials.redaction import MIN_VALUE_CHARACTERS
from credentials.values import marker

MAX_FIELDS = 32
MAX_NAME_CHARACTERS = 64
MAX_VALUE_CHARACTERS = 16_384


def check_fields(path: str, fields: Mapping[str, str]) -> None:
    """Raises InvalidSecret unless every field can be stored, and taken out of texts later."""
    if not fields:
        raise InvalidSecret("A secret needs at least one field.")
    if len(fields) > MAX_FIELDS:
        raise InvalidSecret(f"A secret may have {MAX_FIELDS} fields; this one has {len(fields)}.")
    for name, value in fields.items():
        _check_name(name)
        _check_value(f"{path}/{name}", value)


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_CHARACTERS or not re.fullmatch(WORD, name):
        raise InvalidSecret(
            f"{name!r} is not a name of a field: write at most {MAX_NAME_CHARACTERS} letters and "
            "digits, joined by single dots, dashes or underscores, as in api_key."
        )


def _check_value(reference: str, value: str) -> None:
    if not isinstance(value, str):
        raise InvalidSecret(f"The value of {reference} must be a text.")
    if len(value.strip()) < MIN_VALUE_CHARACTERS:
        raise InvalidSecret(
            f"The value of {reference} has fewer than {MIN_VALUE_CHARACTERS} characters: too "
            "short to be kept out of logs and results. What is that short is no secret, and "
            "belongs in the arguments of the tool."
        )
    if len(value) > MAX_VALUE_CHARACTERS:
        raise InvalidSecret(
            f"The value of {reference} has more than {MAX_VALUE_CHARACTERS} characters."
        )
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidSecret(f"The value of {reference} is not valid text.")
    if value.strip() in marker(reference):
        raise InvalidSecret(f"The value of {reference} is part of its own name.")
