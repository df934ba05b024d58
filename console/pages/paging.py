"""Addresses of the pages of a list, with its filters kept."""

from __future__ import annotations

from django.http import HttpRequest


def first_page(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop("cursor", None)
    return f"{request.path}?{query.urlencode()}" if query else request.path


def next_page(request: HttpRequest, cursor: str) -> str:
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"{request.path}?{query.urlencode()}"
