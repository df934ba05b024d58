"""What stands before every page: signed in, with the right, and refusals as pages."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers

from console import access
from console.models import User
from console.roles import may

View = TypeVar("View", bound=Callable[..., HttpResponse])
READS = ("GET", "HEAD")


def person_of(request: HttpRequest) -> User:
    """Who is signed in; only behind `page`."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def page(
    right: str = "", *, methods: tuple[str, ...] = ("GET",), instead: str = ""
) -> Callable[[View], View]:
    """Lets those in who are signed in and have the right; says no to others in words.

    `instead` names the page that is shown to who reads an address that only takes forms:
    it stays in the browser's bar when a form was refused, and people load it again.
    """

    def guard(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if ("GET" if request.method == "HEAD" else request.method) not in methods:
                if request.method in READS and instead:
                    return redirect(reverse(instead, kwargs=kwargs))
                return HttpResponseNotAllowed(methods)
            if not request.user.is_authenticated:
                return _to_sign_in(request)
            if right and not may(request.user, right):
                raise PermissionDenied
            response = _answer(view, request, *args, **kwargs)
            add_never_cache_headers(response)
            patch_vary_headers(response, ["HX-Request"])
            return response

        return guarded  # type: ignore[return-value]

    return guard


def _answer(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    try:
        return view(request, *args, **kwargs)
    except access.NotFound as refusal:
        raise Http404(str(refusal)) from None
    except access.Forbidden as refusal:
        raise PermissionDenied(str(refusal)) from None
    except access.BadCursor as refusal:
        messages.error(request, f"{refusal} This is the first page.")
        return redirect(request.path)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if is_fragment(request):
        # The page stays as it is, with what was typed into it: `live.js` says what happened.
        return HttpResponse("Your session has ended. Sign in again.", status=401)
    return redirect_to_login(request.get_full_path() if request.method in READS else "/")


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page that is already open."""
    return bool(getattr(request, "htmx", False))
