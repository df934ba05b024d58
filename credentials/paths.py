"""What may be the name of a secret: these names become part of a vault address."""

from __future__ import annotations

import re

from credentials.errors import InvalidSecret

MAX_PATH_CHARACTERS = 128
MAX_TENANT_CHARACTERS = 63

# Words joined by single dots, dashes or underscores: `..`, an empty part, a space, a percent
# sign or a control character cannot be written. The form is understood alike by Python and
# by PostgreSQL, which checks it once more.
WORD = r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*"
SECRET_PATH = rf"^{WORD}(/{WORD})*$"


def check_path(path: str) -> str:
    """Give `path` back, or raise InvalidSecret with what a path may look like."""
    if len(path) > MAX_PATH_CHARACTERS:
        raise InvalidSecret(
            f"The path of a secret may have {MAX_PATH_CHARACTERS} characters; "
            f"this one has {len(path)}."
        )
    if not re.fullmatch(SECRET_PATH, path):
        raise InvalidSecret(
            f"{path!r} is not a path of a secret: write words of letters and digits, joined by "
            "single dots, dashes or underscores, and parted by slashes, as in bank/payments."
        )
    return path


def check_tenant(tenant: str) -> str:
    """Give `tenant` back, or raise InvalidSecret; it is the first part of a vault address."""
    if len(tenant) > MAX_TENANT_CHARACTERS or not re.fullmatch(WORD, tenant):
        raise InvalidSecret(f"{tenant!r} cannot be the tenant of a secret.")
    return tenant


def vault_path(tenant: str, path: str) -> str:
    """Where the vault keeps the secret, below its mount: `<tenant>/<path>`."""
    return f"{check_tenant(tenant)}/{check_path(path)}"
