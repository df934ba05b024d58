"""Sessions whose table opens nothing: whoever reads or writes rows is not thereby signed in.

The key is in the browser's cookie alone. The table has its SHA-256 in its place, so a row
that somebody reads is no cookie. The data are signed for their own key, so neither a row
that somebody makes up nor the data of another row, copied, count for anything.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone


def row_key(key: str) -> str:
    """What stands for this key in the table.

    In base 85 because the 32 bytes then have exactly the 40 characters of Django's column.
    The key has over 160 random bits, so a plain SHA-256 is enough: nobody can try them all.
    """
    return base64.b85encode(hashlib.sha256(key.encode()).digest()).decode()


class SessionStore(DatabaseStore):
    """Django's sessions in the database, with `row_key` at each way to the table."""

    @property
    def key_salt(self) -> str:
        """Part of the signature over the data: it binds them to the key they are kept under."""
        return f"{__name__}:{row_key(self.session_key or '')}"

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = super().create_model_instance(data)
        row.session_key = row_key(row.session_key)
        return row

    async def acreate_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        row = await super().acreate_model_instance(data)
        row.session_key = row_key(row.session_key)
        return row

    def exists(self, session_key: str) -> bool:
        return super().exists(row_key(session_key))

    async def aexists(self, session_key: str) -> bool:
        return await super().aexists(row_key(session_key))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            super().delete(row_key(key))

    async def adelete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            await super().adelete(row_key(key))

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        return self._known(self._own_rows().first())

    async def _aget_session_from_db(self) -> AbstractBaseSession | None:
        return self._known(await self._own_rows().afirst())

    def _own_rows(self) -> Any:
        key = row_key(self.session_key or "")
        return self.model.objects.filter(session_key=key, expire_date__gt=timezone.now())

    def _known(self, row: AbstractBaseSession | None) -> AbstractBaseSession | None:
        """A key without a row is forgotten: nobody chooses their own."""
        if row is None:
            self._session_key = None
        return row
