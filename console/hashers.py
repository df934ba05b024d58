"""How passwords are kept: Argon2, written by commands and only read by the web process."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class SettledArgon2(Argon2PasswordHasher):
    """Argon2 whose hashes stay as they are when somebody signs in.

    Django would write an older hash again with today's parameters. The web process cannot:
    whoever could write passwords there could sign in as anybody. A hash changes when its
    person's password does, by a command of the owner.
    """

    def must_update(self, encoded: str) -> bool:
        return False
