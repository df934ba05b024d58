"""The JSON API, mounted by the console at `/api/v1`: see `api`."""
