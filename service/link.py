"""The way to Redis: every wait on it is bounded, and no command is ever sent twice.

redis-py 8 repeats a failed command ten times with backoff (`redis.client.Redis.__init__`, `retry`), which counts a
hit twice when only its reply was lost. Here nothing is repeated. What makes that bearable is doubt *before* a
command: a connection that rested is not trusted but replaced and asked (PING), which is safe to do.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from service.settings import Settings

T = TypeVar("T")

CONNECT_SECONDS = 0.4
REPLY_SECONDS = 0.5
"""Connect, PING and the command come to 1.4 s at the very most: DESIGN section 4 promises a 503 within 1.5 s."""
REST_SECONDS = 2.0
"""How long a connection may be silent and still be trusted without asking."""
GLANCE_SECONDS = 0.03


class AwayError(Exception):
    """Redis cannot be used right now; the message says why."""


def prompt(connect: Callable[[], socket.socket], seconds: float) -> socket.socket:
    """Return what `connect` returns, or raise TimeoutError after `seconds`: name resolution has no timeout of its own.

    A socket that comes too late is nobody's, and closes as it is collected.
    """
    outcome: queue.SimpleQueue[socket.socket | Exception] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            outcome.put(connect())
        except Exception as error:  # noqa: BLE001 - raised below, in the thread that asked
            outcome.put(error)

    threading.Thread(target=attempt, name="redis-connect", daemon=True).start()
    try:
        made = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(made, Exception):
        raise made
    return made


class PromptConnection(redis.Connection):
    """A connection that is there within its timeout or not at all, name resolution and all addresses included."""

    def _connect(self) -> socket.socket:
        return prompt(super()._connect, CONNECT_SECONDS)


class PromptTLSConnection(redis.SSLConnection):
    """The same, with the TLS handshake inside the timeout too."""

    def _connect(self) -> socket.socket:
        return prompt(super()._connect, CONNECT_SECONDS)


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

        Raises AwayError (then the fate of the command is unknown, unless it was never sent) and redis.ResponseError.
        """
        self._make_sure()
        return self._send(command)

    def _make_sure(self) -> None:
        """Return when Redis answered just now; where that is in doubt, let one thread ask for all."""
        if self._trusted():
            return
        believed = self._up
        # Known to be away and somebody is asking already: waiting in line would break the promise of 1.5 s. A glance
        # is enough to come along where Redis is back.
        if not self._asking.acquire(timeout=-1 if believed else GLANCE_SECONDS):
            message = "Redis was away a moment ago"
            raise AwayError(message)
        try:
            if self._trusted():  # somebody asked while this thread waited
                return
            if believed and not self._up:
                message = "Redis did not answer"
                raise AwayError(message)
            self._drop_idle()
            self._send(lambda client: client.ping())
        finally:
            self._asking.release()

    def _trusted(self) -> bool:
        return self._up and self._clock() - self._heard < REST_SECONDS

    def _send(self, command: Callable[[redis.Redis], T]) -> T:
        try:
            answer = command(self._client)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self._up = False
            self._drop_idle()  # what killed this connection has likely killed its neighbours
            raise AwayError(str(error)) from error
        self._up, self._heard = True, self._clock()
        return answer

    def _drop_idle(self) -> None:
        self._client.connection_pool.disconnect(inuse_connections=False)
