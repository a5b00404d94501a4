"""Connections to Redis on which every wait is bounded and no command is ever sent twice.

redis-py 8 repeats a failed command ten times with backoff (`redis.client.Redis.__init__`, `retry`), which does it
twice when only its reply was lost. Here nothing is repeated.
"""

import contextlib
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import redis
from redis._parsers import _HiredisParser
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.utils import HIREDIS_AVAILABLE, SENTINEL

from twelfth_redis.errors import RefusedError, UnavailableError
from twelfth_redis.settings import Settings, read_settings

PATIENCE_SECONDS = 3.0
"""How long `connect` waits for a Redis that is starting, where only the asking is repeated, and for any connection."""

ANSWER_SECONDS = 10.0
"""How long the first answer may take: of one that is stopped, or busy with somebody's long command."""

LOADING_SECONDS = 60.0
"""How long it waits for one that answers, but still reads its data."""

REPLY_SECONDS = 60.0
"""How long one command may take: a batch on a busy server, not a hit."""


def connect(environment: Mapping[str, str]) -> redis.Redis:
    """Return a client of the Redis that the environment names, which answered just now; as patient as bulk work needs.

    Raises SettingsError, and RefusedError where it does not answer: at once where asking again would be in vain.
    """
    settings = read_settings(environment)
    client = make_client(settings, connect_seconds=PATIENCE_SECONDS, reply_seconds=REPLY_SECONDS)
    started = time.monotonic()
    while True:
        try:
            with deadline(ANSWER_SECONDS):
                client.ping()
        except redis.RedisError as error:
            patience = LOADING_SECONDS if isinstance(error, redis.BusyLoadingError) else PATIENCE_SECONDS
            if is_lasting(error):
                wrong = f"{settings.address} cannot be used like this ({reason(error)})"
                raise RefusedError(f"{wrong}; correct REDIS_URL, then repeat it") from error
            if time.monotonic() - started > patience:
                away = f"{settings.address} is away ({reason(error)}); `invoke status` tells more"
                raise RefusedError(away) from error
            time.sleep(0.1)
        else:
            return client


def make_client(settings: Settings, *, connect_seconds: float, reply_seconds: float) -> redis.Redis:
    """Return a client each step of which may take so long, without asking Redis anything yet."""
    options: dict[str, Any] = dict(settings.tls_options)
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"] not in {"0", "false", "False", "no"}
    if HIREDIS_AVAILABLE:  # else redis-py's own, to which a deadline is one of each part of a reply
        options["parser_class"] = PromptParser
    options |= {
        "connection_class": PromptTLSConnection if settings.tls else PromptConnection,
        "host": settings.host,
        "port": settings.port,
        "db": settings.database,
        "username": settings.username,
        "password": settings.password,
        "socket_connect_timeout": connect_seconds,
        "socket_timeout": reply_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # no HELLO and no CLIENT SETINFO: a new connection costs no further round trip
        "driver_info": None,
    }
    return redis.Redis(connection_pool=redis.ConnectionPool(**options))


@contextlib.contextmanager
def redis_errors() -> Iterator[None]:
    """Translate what redis-py raises inside the block into errors of ours that say what to do."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        away = f"Redis went away ({reason(error)}); `invoke status` tells more, then repeat it"
        raise UnavailableError(away) from error
    except redis.ReadOnlyError as error:
        replica = f"this Redis is a replica ({error}); point REDIS_URL to its primary, then repeat it"
        raise RefusedError(replica) from error
    except redis.RedisError as error:
        raise RefusedError(f"Redis refuses: {reason(error)}; see: invoke logs redis") from error


def reason(error: redis.RedisError) -> str:
    """Return what Redis said, with the code that redis-py takes off (such as WRONGPASS), or why it said nothing."""
    if isinstance(error.__context__, FileNotFoundError):
        return "a file that the address names (ssl_ca_certs, ssl_certfile, ssl_keyfile) is not there"
    return f"{error.status_code} {error}" if error.status_code else str(error)


def is_lasting(error: redis.RedisError) -> bool:
    """Return whether asking again is in vain: the password, the certificate or the port is wrong, not the moment."""
    cause = error.__context__  # what the socket raised, which redis-py caught
    if isinstance(cause, ssl.SSLError):
        return not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return isinstance(cause, FileNotFoundError) or isinstance(
        error, redis.AuthenticationError | redis.InvalidResponse | redis.ResponseError
    )


@dataclass(frozen=True)
class Deadline:
    """When all steps together must be over, on the monotonic clock, and how many seconds that was from the start."""

    at: float = math.inf
    seconds: float = math.inf

    def remaining(self, most: float) -> float:
        """Return the seconds that a step may take, `most` or what is left; raises redis.TimeoutError for none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise redis.TimeoutError(f"Redis took more than {self.seconds:g} s for all steps of a request")
        return min(most, left)


_deadline: ContextVar[Deadline] = ContextVar("deadline", default=Deadline())  # noqa: B039 - it is frozen


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Have all that this thread waits for Redis inside the block take so many seconds together."""
    before = _deadline.set(Deadline(time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _deadline.reset(before)


def connect_within(connect: Callable[[], socket.socket], seconds: float) -> socket.socket:
    """Return what `connect` returns, or raise TimeoutError after `seconds`: name resolution has no timeout of its own.

    A socket that comes too late is closed.
    """
    outcome: Future[socket.socket] = Future()

    def attempt() -> None:
        try:
            outcome.set_result(connect())
        except Exception as error:  # noqa: BLE001 - raised below, in the thread that asked
            outcome.set_exception(error)

    threading.Thread(target=attempt, name="redis-connect", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        outcome.add_done_callback(_close)
        raise


def _close(late: Future[socket.socket]) -> None:
    if late.exception() is None:
        late.result().close()


class PromptParser(_HiredisParser):
    """Reads replies, no part of them later than the deadline."""

    def read_from_socket(self, timeout: Any = SENTINEL, raise_on_timeout: bool = True) -> bool:  # noqa: ANN401, FBT001, FBT002 - redis-py's own signature
        """Read what has come, waiting for it no longer than the deadline allows."""
        if timeout is SENTINEL and self._sock:
            self._sock.settimeout(_deadline.get().remaining(self._socket_timeout))
        return bool(super().read_from_socket(timeout, raise_on_timeout))  # type: ignore[no-untyped-call]


class PromptConnection(redis.Connection):
    """A connection that is there within its timeout or not at all, name resolution and all addresses included."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ANN401, FBT001, FBT002 - redis-py's own signature
        """Send it, unless the deadline is over: what was not sent was not done."""
        if self._sock:
            self._sock.settimeout(_deadline.get().remaining(self.socket_timeout or math.inf))
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

    def _connect(self) -> socket.socket:
        return connect_within(super()._connect, _deadline.get().remaining(self.socket_connect_timeout or math.inf))


class PromptTLSConnection(PromptConnection, redis.SSLConnection):
    """The same, with the TLS handshake inside the timeout too."""

    def can_read(self, timeout: float = 0) -> bool:
        """Return whether there is data of Redis's.

        A server of TLS 1.3 sends session tickets of its own accord (RFC 8446, section 4.6.1), which redis-py's pool
        takes for a reply that nobody read: it refuses the connection. So what is TLS's own is read here.
        """
        return super().can_read(timeout) and self._parser.read_from_socket(timeout=0, raise_on_timeout=False)
