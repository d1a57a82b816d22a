"""Settings, read from the environment (docs/install.md lists the variables).

With nothing set the product runs on its own PostgreSQL and Valkey below `ILERT_DATA_DIR`.
"""

import ipaddress
import os
import sys
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import drf_spectacular_sidecar
import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from ilert.embedded import paths
from ilert.secret import generated_secret

# Lets Django's generic classes be written with their types, as the type checker wants them.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()  # type: ignore[no-untyped-call]

ILERT_DATA_DIR = Path(env("ILERT_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
with (BASE_DIR / "pyproject.toml").open("rb") as _project:
    VERSION: str = tomllib.load(_project)["project"]["version"]
HOST: str = env("HOST", default="0.0.0.0")  # noqa: S104  # nosec B104: tools must reach the webhook
PORT: int = env.int("PORT", default=8000)
PUBLIC_URL: str = (env("PUBLIC_URL", default="") or f"http://localhost:{PORT}").rstrip("/")
if urlsplit(PUBLIC_URL).scheme not in ("http", "https") or not urlsplit(PUBLIC_URL).hostname:
    raise ImproperlyConfigured(
        f"PUBLIC_URL must be an http or https address such as https://ilert.example.com, not {PUBLIC_URL!r}."
    )
HTTPS = PUBLIC_URL.startswith("https://")

DEBUG: bool = env.bool("DEBUG", default=False)
SECRET_KEY: str = env("SECRET_KEY", default="") or generated_secret(ILERT_DATA_DIR / "secret_key")
# Outside the database on purpose: a stolen dump alone opens no webhook. Comma separated, the first one encrypts.
ILERT_ENCRYPTION_KEYS: list[str] = env.list("ILERT_ENCRYPTION_KEY", default=[]) or [
    generated_secret(ILERT_DATA_DIR / "encryption_key")
]

# Every link is built from PUBLIC_URL, never from the Host header; unset means that nobody has said yet how
# this installation is reached, so that a newcomer on another address is not turned away.
ALLOWED_HOSTS = (
    [urlsplit(PUBLIC_URL).hostname, "localhost", "127.0.0.1", "[::1]"] if env("PUBLIC_URL", default="") else ["*"]
)
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

ILERT_ADMIN_EMAIL: str = env("ILERT_ADMIN_EMAIL", default="admin@localhost")
ILERT_ADMIN_PASSWORD: str = env("ILERT_ADMIN_PASSWORD", default="")
ILERT_MAX_BODY: int = env.int("ILERT_MAX_BODY", default=1024 * 1024)
# Of a source without limits of its own, over all web processes.
ILERT_SOURCE_RATE: float = env.float("ILERT_SOURCE_RATE", default=50.0)
ILERT_SOURCE_BURST: float = env.float("ILERT_SOURCE_BURST", default=500.0)
if ILERT_SOURCE_RATE <= 0 or ILERT_SOURCE_BURST < 1:
    raise ImproperlyConfigured("ILERT_SOURCE_RATE must be over 0 and ILERT_SOURCE_BURST at least 1.")


def _networks(name: str, default: list[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(network.strip()) for network in env.list(name, default=default)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must list networks such as 10.0.0.0/8: {error}.") from error


ILERT_RETENTION_DAYS: int = env.int("ILERT_RETENTION_DAYS", default=30)
if ILERT_RETENTION_DAYS < 1:
    raise ImproperlyConfigured(f"ILERT_RETENTION_DAYS must be one day or more, not {ILERT_RETENTION_DAYS}.")
ILERT_ALLOW_PRIVATE_NETWORKS = _networks("ILERT_ALLOW_PRIVATE_NETWORKS", [])
# Whose X-Forwarded-For and X-Forwarded-Proto are believed; from anybody else they are taken away.
_PRIVATE = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
_LISTED_PROXIES = _networks("ILERT_TRUSTED_PROXIES", [])
# The short form cannot tell a proxy in a private network from a client there, so that only one is believed.
ILERT_ONE_PROXY: bool = env.bool("ILERT_BEHIND_PROXY", default=False) and not _LISTED_PROXIES
ILERT_TRUSTED_PROXIES = [ipaddress.ip_network(network) for network in _PRIVATE] if ILERT_ONE_PROXY else _LISTED_PROXIES


def _count(name: str, default: int, *, least: int) -> int:
    count: int = env.int(name, default=default)
    if not least <= count <= 64:
        raise ImproperlyConfigured(f"{name} must be a number from {least} to 64, not {count}.")
    return count


# How many processes `up` starts. None of the engine is for a host whose work another host does.
# Two of the web, where there are cores for them: killing one refuses nobody, and the second costs 7 MB until it serves.
ILERT_WEB_PROCESSES = _count("ILERT_WEB_PROCESSES", min(2, len(os.sched_getaffinity(0))), least=1)
ILERT_WORKERS = _count("ILERT_WORKERS", 1, least=0)
ILERT_WORKER_CONCURRENCY = _count("ILERT_WORKER_CONCURRENCY", 4, least=1)
ILERT_TICKERS = _count("ILERT_TICKERS", 1, least=0)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "axes",
    "csp",
    "django_htmx",
    "lucide",
    "rest_framework",
    "drf_spectacular",
    "ilert",
    "accounts",
    "oncall",
    "notifications",
    "alertsources",
    "incidents",
]

MIDDLEWARE = [
    "ilert.middleware.TrustedProxiesMiddleware",
    "ilert.middleware.AnyHostForProgramsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.audit.AuditMiddleware",
    "accounts.access.RightsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.TimeZoneMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "ilert.urls"
ASGI_APPLICATION = "ilert.asgi.application"

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
                "ilert.navigation.navigation",
                "incidents.views.failed.banner",
            ],
        },
    }
]
FORM_RENDERER = "ilert.forms.FieldRenderer"

# PostgreSQL holds the truth.

EMBEDDED_DATABASE = not env("DATABASE_URL", default="")
DATABASE: dict[str, Any] = environ.Env.db_url_config(  # type: ignore[no-untyped-call]
    paths.database_url(ILERT_DATA_DIR) if EMBEDDED_DATABASE else env("DATABASE_URL")
)
DATABASE.setdefault("OPTIONS", {})
DATABASE["OPTIONS"] |= {
    # Under ASGI a pool, as CONN_MAX_AGE would keep one connection per thread and exhaust the server.
    "pool": {
        "min_size": 0,
        "max_size": env.int("ILERT_DATABASE_POOL", default=10),
        "timeout": 4,
        "max_idle": 60,
        # Without it the pauses between attempts double for minutes, long after the database is back; whoever needs a
        # connection next begins a new attempt.
        "reconnect_timeout": 1,
    },
    "connect_timeout": 3,
    # A network that drops connections without a word is noticed before the next message falls due; sockets of this host
    # know nothing of it.
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,
    "options": "-c statement_timeout=20s -c lock_timeout=4s -c idle_in_transaction_session_timeout=20s",
}
# A connection that a restart of the server has cut is noticed before it is used, not by the next event.
DATABASE["CONN_HEALTH_CHECKS"] = True
DATABASES = {"default": DATABASE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Valkey or Redis rings the bell.

EMBEDDED_REDIS = not env("REDIS_URL", default="")
REDIS_URL: str = paths.redis_url(ILERT_DATA_DIR) if EMBEDDED_REDIS else env("REDIS_URL")
CELERY_BROKER_URL: str = env(
    "CELERY_BROKER_URL", default=paths.broker_url(ILERT_DATA_DIR) if EMBEDDED_REDIS else REDIS_URL
)
# Measured in spikes: with these a publish to a frozen broker costs half a second, and a dead worker's task comes
# back within 12 s. The message is only a bell; the ticker does the work when nobody answers it.
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "visibility_timeout": 20,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
# With sentinel://one:26379;sentinel://two:26379 as the broker: the name under which the sentinels know the master.
ILERT_SENTINEL_MASTER: str = env("ILERT_SENTINEL_MASTER", default="")
if ILERT_SENTINEL_MASTER:
    CELERY_BROKER_TRANSPORT_OPTIONS["master_name"] = ILERT_SENTINEL_MASTER
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_PUBLISH_RETRY = False
# Longer than any statement: the process that is killed then has messages of others in its hands.
CELERY_TASK_TIME_LIMIT = 25
# Connections to the database stay (see `ilert.celery`); a new one for each task cost more than the task.
CELERY_DB_REUSE_MAX = sys.maxsize
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "ilert"

# Sign-in.

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "accounts.sign_in.SignInForm",
    "reset_password": "accounts.sign_in.ForgottenPasswordForm",  # nosec B105: names of classes
    "reset_password_from_key": "accounts.sign_in.NewPasswordForm",  # nosec B105: names of classes
    "reauthenticate": "accounts.sign_in.PasswordAgainForm",  # nosec B105: names of classes
    "change_password": "accounts.sign_in.ChangePasswordForm",  # nosec B105: names of classes
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "accounts.password_reset.ResetTokens"  # noqa: S105  # nosec B105
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
# Guessing is throttled by address and account together, so that nobody can lock a colleague out from elsewhere. Who has
# no account is throttled alike. Beside that each address has so many wrong passwords in a minute, whatever the account.
AXES_FAILURE_LIMIT = 10
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "accounts.sign_in.typed_address"
AXES_CLIENT_IP_CALLABLE = "accounts.sign_in.client_address"
AXES_LOCKOUT_CALLABLE = "accounts.sign_in.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # the audit log has it
AXES_VERBOSE = False
ACCOUNT_RATE_LIMITS = {"login_failed": "30/m/ip"}  # codes have a limit of their own, see accounts.second_factor
# All processes count together, and a code works once in all of them. In the database, as sign-in is to depend on
# nothing else. Room for many, so that a flood of addresses does not make it forget.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "ilert_cache",
        "OPTIONS": {"MAX_ENTRIES": 50_000},
    }
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "ilert"
MFA_ADAPTER = "accounts.adapter.MFAAdapter"
MFA_FORMS = {
    "authenticate": "accounts.sign_in.CodeForm",
    "reauthenticate": "accounts.sign_in.CodeAgainForm",
    "activate_totp": "accounts.sign_in.ActivateAppForm",
}
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "ilert_session"

# What browsers are told.

SECURE_SSL_REDIRECT = False  # the proxy in front speaks TLS and redirects; health checks come over plain http
SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365 if HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
# Browsers ignore it over plain http and complain about it in the console of every page.
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin" if HTTPS else None
if ILERT_TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
# Subdomains and preload lists (W005, W021) are for the owner of the domain to decide; W008 see SECURE_SSL_REDIRECT.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# Mail: without EMAIL_URL into the local outbox page, so that a newcomer sees what would have been sent.

EMAIL_BACKEND = "notifications.mail.OutboxBackend"
if env("EMAIL_URL", default=""):
    vars().update(env.email_url("EMAIL_URL"))
EMAIL_TIMEOUT = 8
DEFAULT_FROM_EMAIL: str = env("DEFAULT_FROM_EMAIL", default=f"ilert <ilert@{urlsplit(PUBLIC_URL).hostname}>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Watching the installation itself: an outside watchdog that is called every minute, and who may read /metrics.

ILERT_HEARTBEAT_URL: str = env("ILERT_HEARTBEAT_URL", default="")
ILERT_METRICS_TOKEN: str = env("ILERT_METRICS_TOKEN", default="")

# Files, language, time.

STATIC_URL = "/static/"
STATIC_ROOT = ILERT_DATA_DIR / "static"
# Of the package that draws the page of the API only what that page loads; the rest is megabytes.
_SIDECAR = Path(drf_spectacular_sidecar.__file__).parent / "static" / "drf_spectacular_sidecar"
STATICFILES_DIRS = [("swagger", _SIDECAR / "swagger-ui-dist")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["ilert.common.rest.parser.Json"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api_keys.authentication.BearerKey",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.access.RightsPermission"],
    "DEFAULT_PAGINATION_CLASS": "ilert.common.rest.paging.KeysetPagination",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "ilert.common.rest.errors.handle",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "ilert",
    "DESCRIPTION": "Alert sources, escalation policies, incidents and people. Keys are made on your profile.",
    "VERSION": VERSION,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {"PriorityEnum": [("HIGH", "HIGH"), ("LOW", "LOW")]},
    "PREPROCESSING_HOOKS": ["ilert.openapi.without_events"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "ilert.openapi.with_events",
        "ilert.openapi.with_errors",
    ],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "ilert.logs.RedactingFormatter", "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "ERROR"},
        # Anybody can send a wrong Host; the answer is 400, and a traceback for each would fill the log.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # httpx logs whole URLs, and a URL may hold a topic or a key.
        "httpx": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.worker.request": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}

DATA_UPLOAD_MAX_MEMORY_SIZE = ILERT_MAX_BODY
