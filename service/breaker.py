"""The way to Redis: every wait on it is bounded, and no command is ever sent twice.

redis-py 8 repeats a failed command ten times with backoff (`redis.client.Redis.__init__`, `retry`), which counts a
hit twice when only its reply was lost. Here nothing is repeated. What makes that bearable is doubt *before* a
command: a connection that rested is not trusted but replaced and asked (PING), which is safe to do.
"""

from __future__ import annotations

import contextlib
import math
import ssl
import threading
import time
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import redis
from redis._parsers import _HiredisParser
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.utils import SENTINEL

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from twelfth_redis.settings import Settings

T = TypeVar("T")

REQUEST_SECONDS = 1.3
"""All that one request may wait for Redis (name, connection, TLS, AUTH, SELECT, PING, the command): DESIGN section 4
promises a 503 within 1.5 s."""
CONNECT_SECONDS = 0.4
REPLY_SECONDS = 0.5
"""What one step of it may take, so that a Redis that is silent is found out sooner."""
REST_SECONDS = 2.0
"""How long a connection may be silent and still be trusted without asking."""
GLANCE_SECONDS = 0.03


class UnavailableError(Exception):
    """Redis cannot be used right now; the message says why."""


def reason(error: redis.RedisError) -> str:
    """Return what Redis said, with the code that redis-py takes off, such as WRONGPASS; or what became of the way."""
    if isinstance(error.__context__, FileNotFoundError):
        return "a file that the address names (ssl_ca_certs, ssl_certfile, ssl_keyfile) is not there"
    return f"{error.status_code} {error}" if error.status_code else str(error)


def is_lasting(error: redis.RedisError) -> bool:
    """Tell whether asking again is in vain: the password, the certificate or the port is wrong, not the moment."""
    cause = error.__context__  # what the socket raised, which redis-py caught
    if isinstance(cause, ssl.SSLError):
        return not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return isinstance(cause, FileNotFoundError) or isinstance(
        error, redis.AuthenticationError | redis.InvalidResponse | redis.ResponseError
    )


def prompt(connect: Callable[[], socket.socket], seconds: float) -> socket.socket:
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


_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Have all that this thread waits for Redis in here take so many seconds together."""
    before = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(before)


def _left(most: float) -> float:
    """Return the seconds that a step may take, `most` or what is left; raises redis.TimeoutError for none."""
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise redis.TimeoutError(f"Redis took more than {REQUEST_SECONDS:g} s for all steps of a request")
    return min(most, left)


class PromptParser(_HiredisParser):
    """Reads replies, no part of them later than the request's deadline."""

    def read_from_socket(self, timeout: Any = SENTINEL, raise_on_timeout: bool = True) -> bool:  # noqa: ANN401, FBT001, FBT002 - redis-py's own signature
        """Read what has come, waiting for it no longer than may be."""
        if timeout is SENTINEL and self._sock:
            self._sock.settimeout(_left(self._socket_timeout))
        return bool(super().read_from_socket(timeout, raise_on_timeout))  # type: ignore[no-untyped-call]


class PromptConnection(redis.Connection):
    """A connection that is there within its timeout or not at all, name resolution and all addresses included."""

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ANN401, FBT001, FBT002 - redis-py's own signature
        """Send it, unless the request's time is over: what was not sent was not counted."""
        if self._sock:
            self._sock.settimeout(_left(self.socket_timeout or math.inf))
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

    def _connect(self) -> socket.socket:
        return prompt(super()._connect, _left(self.socket_connect_timeout or math.inf))


class PromptTLSConnection(PromptConnection, redis.SSLConnection):
    """The same, with the TLS handshake inside the timeout too."""

    def can_read(self, timeout: float = 0) -> bool:
        """Tell whether there is data of Redis's.

        A server of TLS 1.3 sends session tickets of its own accord (RFC 8446, section 4.6.1), which redis-py's pool
        takes for a reply that nobody read: it refuses the connection. So what is TLS's own is read here.
        """
        return super().can_read(timeout) and self._parser.read_from_socket(timeout=0, raise_on_timeout=False)


def connection_arguments(settings: Settings) -> dict[str, Any]:
    """Return what redis-py's pool makes each connection from."""
    options: dict[str, Any] = dict(settings.tls_options)
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"] not in {"0", "false", "False", "no"}
    return options | {
        "connection_class": PromptTLSConnection if settings.tls else PromptConnection,
        "host": settings.host,
        "port": settings.port,
        "db": settings.database,
        "username": settings.username,
        "password": settings.password,
        "parser_class": PromptParser,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": REPLY_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # no HELLO and no CLIENT SETINFO: a new connection costs no further round trip
        "driver_info": None,
    }


class Link:
    """One process's way to Redis, shared by its threads."""

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._asking = threading.Lock()
        self._up = True
        self._heard = float("-inf")

    def ask(self, command: Callable[[redis.Redis], T]) -> T:
        """Send one command, once, and return its answer.

        Raises redis.ResponseError, and UnavailableError: then the fate of the command is unknown, unless it was never
        sent.
        """
        with at_most(REQUEST_SECONDS):
            self._make_sure()
            return self._send(command)

    def _make_sure(self) -> None:
        """Return when Redis answered just now; where that is in doubt, let one thread ask for all."""
        if self._trusted():
            return
        believed = self._up
        # Known to be away and somebody is asking already: waiting in line would break the promise of 1.5 s. A glance
        # is enough to come along where Redis is back.
        if not self._asking.acquire(timeout=REQUEST_SECONDS if believed else GLANCE_SECONDS):
            message = "Redis was away a moment ago"
            raise UnavailableError(message)
        try:
            if self._trusted():  # somebody asked while this thread waited
                return
            if believed and not self._up:
                message = "Redis did not answer"
                raise UnavailableError(message)
            self._drop_idle()
            self._send(lambda client: client.ping())
        finally:
            self._asking.release()

    def _trusted(self) -> bool:
        return self._up and self._clock() - self._heard < REST_SECONDS

    def _send(self, command: Callable[[redis.Redis], T]) -> T:
        try:
            answer = command(self._client)
        except (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse) as error:
            self._up = False
            self._drop_idle()  # what killed this connection has likely killed its neighbours
            raise UnavailableError(reason(error)) from error
        self._up, self._heard = True, self._clock()
        return answer

    def _drop_idle(self) -> None:
        self._client.connection_pool.disconnect(inuse_connections=False)
