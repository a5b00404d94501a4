"""The service's way to Redis: every wait on it is bounded, and no command is ever sent twice.

What makes that bearable is doubt *before* a command: a connection that rested is not trusted but replaced and asked
(PING), which is safe to do.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import redis

from twelfth_redis.connection import deadline, make_client, reason
from twelfth_redis.errors import UnavailableError
from twelfth_redis.settings import Settings

T = TypeVar("T")
Command = tuple[str | int, ...]

REQUEST_SECONDS = 1.3
"""All that one request may wait for Redis (name, connection, TLS, AUTH, SELECT, PING, the command): a 503 comes
within 1.5 s (docs/stack.md)."""
CONNECT_SECONDS = 0.4
REPLY_SECONDS = 0.5
"""What one step of it may take, so that a Redis that is silent is found out sooner."""
REST_SECONDS = 2.0
"""How long a connection may be silent and still be trusted without asking."""
GLANCE_SECONDS = 0.03


def open_client(settings: Settings) -> redis.Redis:
    """Return a client whose steps are as short as a request needs, without asking Redis anything yet."""
    return make_client(settings, connect_seconds=CONNECT_SECONDS, reply_seconds=REPLY_SECONDS)


def pipeline(client: redis.Redis, command: Command, count: int, replies: list[object]) -> None:
    """Send one command `count` times in one write, and append each reply, or refusal, to `replies` as it arrives.

    When all have arrived, raises a refusal that is not about the value. redis-py's own pipeline would pack each command
    again, and lose the replies that arrived before the connection broke.
    """
    with _connection(client) as connection:
        connection.send_packed_command([b"".join(connection.pack_command(*command)) * count])
        replies.extend(_reply(connection) for _ in range(count))
        for reply in replies:
            if isinstance(reply, redis.ResponseError) and not is_about_value(reply):
                raise reply


def rehearse(client: redis.Redis, command: Command, *reads: Command) -> list[object]:
    """Queue a command and discard it, then return the replies to `reads`; a refused read is returned as a value.

    Redis checks rights, memory, disk and role when it queues a command. Raises the refusal of that.
    """
    with _connection(client) as connection:
        # MULTI is sent alone: if it were refused, the commands after it in one write would be executed.
        (started,) = _ask(connection, ("MULTI",))
        if isinstance(started, redis.ResponseError):
            raise started
        queued, discarded, *replies = _ask(connection, command, ("DISCARD",), *reads)
        for refused in (queued, discarded):
            if isinstance(refused, redis.ResponseError):
                raise refused
        return replies


def is_about_value(error: redis.ResponseError) -> bool:
    """Return whether a refusal is about what the key holds; any other is about the server or the user's rights."""
    return any(words in str(error) for words in ("WRONGTYPE", "not an integer", "overflow"))


@contextlib.contextmanager
def _connection(client: redis.Redis) -> Iterator[Any]:
    """Yield a connection of the pool, and close it after an error. Its methods have no types."""
    connection: Any = client.connection_pool.get_connection()
    try:
        yield connection
    except BaseException:
        connection.disconnect()  # a reply that comes late must find nobody
        raise
    finally:
        client.connection_pool.release(connection)


def _ask(connection: Any, *commands: Command) -> list[object]:  # noqa: ANN401 - redis.Connection
    connection.send_packed_command(connection.pack_commands(commands))
    return [_reply(connection) for _ in commands]


def _reply(connection: Any) -> object:  # noqa: ANN401 - redis.Connection
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


class Breaker:
    """One process's way to Redis, shared by its threads: while Redis is away, one asks and the others fail at once."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._asking = threading.Lock()
        self._up = True
        self._last_reply = float("-inf")

    def ask(self, command: Callable[[redis.Redis], T], waited: float = 0.0) -> T:
        """Send one command, once, and return its answer; the request has `waited` so many seconds for its turn.

        Raises redis.ResponseError, and UnavailableError: then the fate of the command is unknown, unless it was never
        sent. After a refusal that is not about the value, the next request uses a new connection: after a failover, the
        address leads to another server.
        """
        seconds = max(REQUEST_SECONDS - waited, 0)
        with deadline(seconds):
            self._make_sure(seconds)
            return self._send(command)

    def _make_sure(self, seconds: float) -> None:
        """Return when Redis answered just now; where that is in doubt, let one thread ask for all."""
        if self._trusted():
            return
        believed = self._up
        # Known to be away and somebody is asking already: waiting in line would break the promise of 1.5 s. A glance
        # is enough to come along where Redis is back.
        if not self._asking.acquire(timeout=seconds if believed else min(seconds, GLANCE_SECONDS)):
            raise UnavailableError("Redis was away a moment ago")
        try:
            if self._trusted():  # somebody asked while this thread waited
                return
            if believed and not self._up:
                raise UnavailableError("Redis did not answer")
            self._drop_idle()
            self._send(lambda client: client.ping())
        finally:
            self._asking.release()

    def _trusted(self) -> bool:
        return self._up and time.monotonic() - self._last_reply < REST_SECONDS

    def _send(self, command: Callable[[redis.Redis], T]) -> T:
        try:
            answer = command(self._client)
        except (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse) as error:
            self._up = False
            self._drop_idle()  # what killed this connection has likely killed its neighbours
            raise UnavailableError(reason(error)) from error
        except redis.ResponseError as error:
            if not is_about_value(error):
                self._last_reply = float("-inf")
                self._drop_idle()
            raise
        self._up, self._last_reply = True, time.monotonic()
        return answer

    def _drop_idle(self) -> None:
        self._client.connection_pool.disconnect(inuse_connections=False)
