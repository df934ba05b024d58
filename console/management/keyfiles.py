"""Key files: an Ed25519 key that its owner alone can read, and the line that others may read."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.core.management.base import CommandError

from approvals.signatures import Answer, signed_by_file

MAX_FILE_BYTES = 10_000
"""A key file is some hundred bytes long; what is longer is something else."""


def generate(path: Path) -> Ed25519PrivateKey:
    """A new key in a new file. Raises `CommandError`; nothing is ever written over."""
    key = Ed25519PrivateKey.generate()
    told = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(told)
    except FileExistsError:
        raise CommandError(f"{path} is there already; choose another name.") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
    return key


def read(path: Path) -> Ed25519PrivateKey:
    """The key of a file that nobody else can read. Raises `CommandError`."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            told = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CommandError(f"Others may read {path}; run chmod 600 on it first.")
    try:
        key = load_pem_private_key(told, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise CommandError(f"{path} is no key file as `manage.py key generate` makes it.")
    return key


def public_line(key: Ed25519PrivateKey) -> str:
    """What the page of keys is given."""
    return "ed25519:" + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(key: Ed25519PrivateKey, challenge: bytes) -> Answer:
    return Answer(signature=key.sign(signed_by_file(challenge)))
