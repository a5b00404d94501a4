"""Read the address of Redis from the environment: REDIS_URL, else HOST_REDIS and PORT_REDIS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from twelfth_redis.errors import SettingsError

TLS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"})
"""Options allowed in the query of a rediss:// address; redis-py's names."""

HIGHEST_PORT = 65535

_FORM = (
    "REDIS_URL must look like redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS, "
    "with special characters of the password percent-encoded"
)


@dataclass(frozen=True)
class Settings:
    """The address of Redis and the credentials."""

    host: str = "redis"
    port: int = 6379
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_options: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> str:
        """Return the address for messages: host, port and database, without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings in `environment`; an empty variable counts as unset.

    REDIS_URL wins over HOST_REDIS and PORT_REDIS. Raises SettingsError.
    """
    if url := environment.get("REDIS_URL"):
        return _from_url(url)
    host = _host("HOST_REDIS", environment.get("HOST_REDIS") or "redis")
    return Settings(host=host, port=_port(environment.get("PORT_REDIS") or "6379"))


def _host(variable: str, host: str) -> str:
    try:
        host.encode("idna")  # name resolution does this, too
    except UnicodeError:
        host = ""
    if not host or not host.isprintable() or set(host) & set("/@ "):
        raise SettingsError(f"{variable} must contain a host name or address, such as redis or 127.0.0.1")
    return host


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= HIGHEST_PORT):
        raise SettingsError(f"PORT_REDIS must be a number from 1 to 65535, not {text[:40]!r}")
    return int(text)


def _from_url(url: str) -> Settings:
    # https://www.iana.org/assignments/uri-schemes/prov/redis
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its message may quote the password
        raise SettingsError(_FORM) from None
    # An unquoted # or / in the password ends the host early: the usual cause of an invalid port.
    if parts.scheme not in {"redis", "rediss"} or port == 0 or parts.fragment:
        raise SettingsError(_FORM)
    return Settings(
        host=_host("REDIS_URL", unquote(parts.hostname or "")),
        port=6379 if port is None else port,
        database=_database(parts.path),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=parts.scheme == "rediss",
        tls_options=_tls_options(parts),
    )


def _database(path: str) -> int:
    number = path.removeprefix("/") or "0"
    if not (number.isascii() and number.isdigit()):
        raise SettingsError("REDIS_URL must end in a database number, such as /0")
    return int(number)


def _tls_options(parts: SplitResult) -> tuple[tuple[str, str], ...]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    honoured = TLS_OPTIONS if parts.scheme == "rediss" else frozenset[str]()
    # Refused, not passed on: redis-py would accept retry_on_timeout here, and count a hit twice.
    if unsupported := sorted(set(options) - honoured):
        is_name = re.fullmatch("[a-z_]{1,40}", unsupported[0])  # else it may be the end of a password
        raise SettingsError(
            f"REDIS_URL has an unsupported option{f': {unsupported[0]}' if is_name else ''}. "
            "Try: remove it, or percent-encode special characters of the password"
        )
    if options.get("ssl_cert_reqs", "required") not in {"none", "optional", "required"}:
        raise SettingsError("ssl_cert_reqs in REDIS_URL must be none, optional or required")
    return tuple(sorted(options.items()))
