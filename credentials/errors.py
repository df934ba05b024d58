"""What can go wrong with credentials. Each message is a sentence for a person.

No message, argument or cause ever carries the value of a secret: errors of the vault's
client are translated with `from None`, because their frames hold what was being sent.
"""

from __future__ import annotations


class CredentialsError(Exception):
    """The root of this room's errors."""


class InvalidSecret(CredentialsError):
    """A path, a field or a value that cannot be stored."""


class InvalidScope(CredentialsError):
    """A scope that cannot be granted."""


class NoVaultIdentity(CredentialsError):
    """This process was given no identity in the vault, and so may ask it nothing."""


class LeaseEnded(CredentialsError):
    """A credential was looked at after its lease had ended and its value was forgotten."""


class VaultError(CredentialsError):
    """The vault did not do what it was asked."""


class VaultUnreachable(VaultError):
    """Nobody answered in time, or not as a vault does. Trying again later may help."""


class VaultSealed(VaultError):
    """The vault runs, but is sealed. Trying again after it was unsealed will help."""


class VaultForbidden(VaultError):
    """The identity of this process may not do that."""


class VaultNotFound(VaultError):
    """The vault holds no such secret, or only a deleted version of it."""


class StaleWrite(VaultError):
    """Somebody else wrote a newer version in the meantime."""
