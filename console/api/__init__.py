"""The JSON API, mounted by the console at `/api/v1`."""

from console.api.calls import api

__all__ = ["api"]
