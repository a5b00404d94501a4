"""The counter in Redis: one key, one plain integer, one atomic command per hit, and no command is sent twice."""

import contextlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from twelfth_redis.connection import deadline, make_client, reason
from twelfth_redis.errors import RedisToolError, UnavailableError
from twelfth_redis.keys import HISTORY, UNFINISHED
from twelfth_redis.schema.history import unfinished_revision
from twelfth_redis.settings import Settings

Connection = Any  # redis.Connection, whose methods have no types

KEY = "hits"
SINCE = "hits:since"  # since when KEY counts: ISO 8601 in UTC, set by each reset and by migration 0002
LOWEST, HIGHEST = -(2**63), 2**63 - 1  # what INCRBY can count

REQUEST_SECONDS = 1.3  # what a request waits for Redis in total, so that its 503 comes within 1.5 s
CONNECT_SECONDS, REPLY_SECONDS = 0.6, 0.5  # what one step of it waits
BUSY_SECONDS = 0.05  # a connection that was used just now is used again without a look, which costs as much as a hit
IDLE_SECONDS = 2.0  # a connection that was not used for so long is replaced: a network may have dropped it silently
TURN_SECONDS = 0.03  # what a request waits for the one that tries whether an outage is over

_HIT = ("INCRBY", KEY, 1)
_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_NO_INTEGER = f"the key {KEY} holds no integer; `invoke reset` sets it to 0"
_AT_THE_END = f"the key {KEY} is at the end of 64 bits; `invoke reset` sets it to 0"


class NoIntegerError(RedisToolError):
    """The value of the key cannot be incremented."""


class Counter:
    """The number of hits; methods raise UnavailableError if Redis does not answer or refuses, and NoIntegerError."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._thread = threading.local()  # with its own connection, as redis-py's pool costs a quarter of the hits
        self._epoch = object()
        self._outage = ""
        self._probe = threading.Lock()

    def hit(self) -> int:
        """Count one hit and return its number, which no other hit gets."""
        return int(self._ask(lambda connection: _command(connection, *_HIT)))

    def value(self) -> int:
        """Return the number of hits so far."""
        return _number(self._ask(lambda connection: _command(connection, "GET", KEY)))

    def schema(self) -> tuple[tuple[str, ...], str, str]:
        """Return applied revisions, since when hits are counted, and an unfinished revision; raise as `hit` would."""
        value, revisions, since, unfinished = self._ask(_rehearse)
        if _number(value) == HIGHEST:
            raise NoIntegerError(_AT_THE_END)
        names = tuple(sorted(name.decode(errors="replace") for name in revisions))
        return names, (since or b"").decode(errors="replace"), unfinished_revision(unfinished)

    def _ask(self, exchange: Callable[[Connection], Any]) -> Any:  # noqa: ANN401 - a reply
        # During an outage one request waits for Redis and the others fail: a queue would be answered too late.
        if (is_probe := bool(self._outage)) and not self._probe.acquire(timeout=TURN_SECONDS):
            raise UnavailableError(self._outage or "Redis did not answer a moment ago")
        try:
            with deadline(REQUEST_SECONDS):
                reply = exchange(self._connection())
        except redis.RedisError as error:
            # No thread uses its connection again: the server does not answer, or takes no hits (READONLY: the address
            # may lead to another one by now), or a reply was not read. One that cannot be opened is no such sign.
            meaning = _meaning(error)
            if isinstance(meaning, UnavailableError) and self._thread.epoch is self._epoch:
                self._epoch = object()
            self._outage = "" if isinstance(error, redis.ResponseError) else str(meaning)
            raise meaning from error
        finally:
            self._thread.used = time.monotonic()
            if is_probe:
                self._probe.release()
        self._outage = ""
        return reply

    def _connection(self) -> Connection:
        thread, pool = self._thread, self.client.connection_pool
        if not hasattr(thread, "connection"):
            thread.connection, thread.epoch, thread.used = pool.connection_class(**pool.connection_kwargs), None, 0.0
        connection, idle = thread.connection, time.monotonic() - thread.used
        if thread.epoch is self._epoch and idle < BUSY_SECONDS:
            return connection
        with contextlib.suppress(redis.ConnectionError):
            if thread.epoch is self._epoch and idle < IDLE_SECONDS and not connection.can_read():
                return connection
        connection.disconnect()
        thread.epoch, epoch = None, self._epoch
        connection.connect()
        with contextlib.suppress(redis.ResponseError):  # a hit is sent only to a server that answers, if with a refusal
            _command(connection, "PING")
        thread.epoch = epoch
        return connection


def open_counter(settings: Settings) -> Counter:
    """Return the counter that `settings` name; it connects with its first command."""
    return Counter(make_client(settings, connect_seconds=CONNECT_SECONDS, reply_seconds=REPLY_SECONDS))


def integer(value: object) -> int | None:
    """Return the number as Redis would read it, or None: no spaces, no plus, no leading zeros, 64 bits."""
    number = int(value) if isinstance(value, bytes) and _INTEGER.fullmatch(value) else None
    return number if number is not None and LOWEST <= number <= HIGHEST else None


def _number(value: object) -> int:
    if (number := integer(b"0" if value is None else value)) is None:
        raise NoIntegerError(_NO_INTEGER)
    return number


def _command(connection: Connection, *words: str | int) -> Any:  # noqa: ANN401 - a reply
    connection.send_command(*words)
    return connection.read_response()


def _rehearse(connection: Connection) -> list[Any]:
    """Queue a hit and discard it: Redis checks rights, memory, disk and role when it queues a command."""
    for words in (("MULTI",), _HIT, ("DISCARD",)):
        _command(connection, *words)
    value = _command(connection, "GET", KEY)
    try:
        revisions = _command(connection, "HKEYS", HISTORY)
    except redis.ResponseError as error:
        raise UnavailableError(f"Redis refuses HKEYS {HISTORY}: {reason(error)}") from error
    return [value, revisions, *(_command(connection, "GET", key) for key in (SINCE, UNFINISHED))]


def _meaning(error: redis.RedisError) -> RedisToolError:
    refusal = str(error) if isinstance(error, redis.ResponseError) else ""
    if any(cause in refusal for cause in ("WRONGTYPE", "not an integer", "overflow")):
        return NoIntegerError(_AT_THE_END if "overflow" in refusal else _NO_INTEGER)
    return UnavailableError(f"{'Redis refuses: ' if refusal else ''}{reason(error)}")
