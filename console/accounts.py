"""How people sign in: with a username that an administrator gave them. Nobody signs up."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth's adapter; its rate limits on sign-in are kept as they come."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": "Username and password do not match.",
        "too_many_login_attempts": (
            "There were too many failed attempts. Wait five minutes, then try again."
        ),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
