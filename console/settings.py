"""Settings, all from the environment. Safe when nothing is said: see docs/reference/settings.md."""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from console.home import BASE_DIR, PROCESSES, environment, home

# Which of the processes this is; decides the database role and the vault identity.
OWNER_COMMANDS = {"migrate", "makemigrations", "policy", "person", "token", "seed_demo"}
WORKER_COMMANDS = {"replay"}
_command = sys.argv[1] if len(sys.argv) > 1 else ""
PLACET_PROCESS = os.environ.get("PLACET_PROCESS") or (
    "owner" if _command in OWNER_COMMANDS else "worker" if _command in WORKER_COMMANDS else "web"
)
if PLACET_PROCESS not in PROCESSES:
    raise SystemExit(f"PLACET_PROCESS is {PLACET_PROCESS!r}; it must be one of {PROCESSES}.")
_written = environment(PLACET_PROCESS)


def setting(name: str, default: str = "") -> str:
    return os.environ.get(name) or _written.get(name, default)


def number(name: str, default: str) -> float:
    given = setting(name, default)
    try:
        return float(given)
    except ValueError:
        raise SystemExit(f"{name} is {given!r}; it must be a number.") from None


# The web serves requests from many threads, so it has a pool; the other processes, and
# commands, keep one connection each.
IS_SERVER = os.environ.get("PLACET_PROCESS") == "web"


# A worker may hold the lock of a row for as long as it likes; people do not wait for it.
WAITS_NOT = IS_SERVER or PLACET_PROCESS == "gatekeeper"
PATIENCE = "-c lock_timeout=5000 -c statement_timeout=30000"
# The engine's processes say the same few statements for as long as they live. Asked for values, the
# planner would go on planning some of them each time, which takes longer than carrying them out.
SAYS_THE_SAME = PLACET_PROCESS in ("worker", "executor", "gatekeeper")
PLANNED_ONCE = "-c plan_cache_mode=force_generic_plan"


MAX_RUNS_AT_ONCE = 64


def database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    options: dict[str, Any] = {
        "application_name": f"placet-{PLACET_PROCESS}",
        "connect_timeout": 5,
    } | dict(parse_qsl(parts.query))
    asked = [PATIENCE] * WAITS_NOT + [PLANNED_ONCE] * SAYS_THE_SAME
    if asked:
        # What the address itself asks for comes last, and so counts.
        options["options"] = " ".join([*asked, options.get("options", "")]).strip()
    if IS_SERVER:
        options["pool"] = {"min_size": 1, "max_size": 12, "timeout": 10}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0 if IS_SERVER else None,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": options,
    }


PLACET_HOME = home()
PLACET_HOST = setting("PLACET_HOST", "127.0.0.1")
PLACET_PORT = int(number("PLACET_PORT", "8000"))
# Where people reach the console: what a link in a notice begins with.
PLACET_URL = setting("PLACET_URL").rstrip("/") or f"http://{PLACET_HOST}:{PLACET_PORT}"
PLACET_DATABASE_URL = setting("PLACET_DATABASE_URL", "postgresql://127.0.0.1:1/placet")
PLACET_AUDITOR_DATABASE_URL = setting("PLACET_AUDITOR_DATABASE_URL", PLACET_DATABASE_URL)
PLACET_BROKER_URL = setting("PLACET_BROKER_URL", "redis://127.0.0.1:1/0")
PLACET_LIVE_URL = setting("PLACET_LIVE_URL", PLACET_BROKER_URL)
PLACET_VAULT_ADDR = setting("PLACET_VAULT_ADDR")
PLACET_VAULT_ROLE_ID = setting("PLACET_VAULT_ROLE_ID")
PLACET_VAULT_SECRET_ID = setting("PLACET_VAULT_SECRET_ID")
PLACET_SEAL_KEY = setting("PLACET_SEAL_KEY")
PLACET_WORKFLOWS = [m for m in setting("PLACET_WORKFLOWS").split(",") if m]
PLACET_CLAIM_SECONDS = number("PLACET_CLAIM_SECONDS", "30")
PLACET_SWEEP_SECONDS = number("PLACET_SWEEP_SECONDS", "0.5")
PLACET_RUNS_AT_ONCE = int(number("PLACET_RUNS_AT_ONCE", "8"))
if not 1 <= PLACET_RUNS_AT_ONCE <= MAX_RUNS_AT_ONCE:
    raise SystemExit(f"PLACET_RUNS_AT_ONCE must be from 1 to {MAX_RUNS_AT_ONCE}.")
PLACET_TRACE_URL = setting("PLACET_TRACE_URL")
PLACET_DEMO = setting("PLACET_DEMO", "1") != "0"
PLACET_DEMO_BANK_URL = setting("PLACET_DEMO_BANK_URL")
PLACET_DEMO_INVOICES = setting("PLACET_DEMO_INVOICES")

DEBUG = False
SECRET_KEY = setting("PLACET_SECRET_KEY") or os.urandom(32).hex()
ALLOWED_HOSTS = [h for h in setting("PLACET_ALLOWED_HOSTS").split(",") if h] or [
    "localhost",
    "127.0.0.1",
    "[::1]",
]
CSRF_TRUSTED_ORIGINS = [o for o in setting("PLACET_TRUSTED_ORIGINS").split(",") if o]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "allauth",
    "allauth.account",
    "channels",
    "csp",
    "runs",
    "approvals",
    "credentials",
    "console",
]
if PLACET_DEMO:
    INSTALLED_APPS.append("console.demo")

MIDDLEWARE = [
    "console.api.problems.problem_middleware",
    "console.waits.BusyDatabase",
    "django.middleware.security.SecurityMiddleware",
    "console.pages.staticfiles.StaticFiles",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.pages.context.console",
            ],
        },
    },
]

DATABASES = {
    "default": database(PLACET_DATABASE_URL),
    "auditor": database(PLACET_AUDITOR_DATABASE_URL),
}
DATABASE_ROUTERS: list[str] = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "console.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["console.hashers.SettledArgon2"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "CommonPasswordValidator")
] + [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    }
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
# By name it is slow and generous: else anybody could lock out a reviewer by five wrong guesses.
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,100/h/key"}
ACCOUNT_ADAPTER = "console.accounts.AccountAdapter"

# TLS is told by the proxy in front, or by uvicorn itself.
PLACET_TLS = setting("PLACET_TLS", "0") == "1"
if PLACET_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
# Where people see Placet: what a passkey signed on a page of any other origin counts nowhere.
_scheme = "https" if PLACET_TLS else "http"
PLACET_ORIGINS = [o for o in setting("PLACET_ORIGINS").split(",") if o] or [
    *CSRF_TRUSTED_ORIGINS,
    *(f"{_scheme}://{host}:{PLACET_PORT}" for host in ("localhost", PLACET_HOST)),
]
SESSION_ENGINE = "console.sessions"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PLACET_TLS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 60 * 60
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = PLACET_HOME / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# One line an event, on standard error; the supervisor says which process it was.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "redaction": {"()": "credentials.redaction.RedactionFilter"},
        "tokens": {"()": "console.addresses.TokenFilter"},
    },
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["redaction", "tokens"],
        }
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {
        # A message is a hint; what came of it is told by the engine itself.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        # One sentence for each wrong Host would be enough; it comes with a traceback.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django": {"level": "INFO", "handlers": [], "propagate": True},
        "django.server": {"level": "INFO", "handlers": [], "propagate": True},
    },
}
