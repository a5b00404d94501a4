"""The counter in Redis: one key, one plain integer, one atomic command a hit."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

from service.breaker import Breaker, is_about_value, open_client, pipeline, rehearse
from twelfth_redis.connection import reason
from twelfth_redis.errors import RedisToolError, UnavailableError
from twelfth_redis.keys import HISTORY, UNFINISHED
from twelfth_redis.lock import Owner, hold_lock
from twelfth_redis.schema.history import unfinished_revision
from twelfth_redis.settings import Settings
from twelfth_redis.timestamp import now

T = TypeVar("T")

KEY = "hits"
SINCE = "hits:since"
"""Since when KEY counts: ISO 8601 in UTC. It is set with every reset, and by migration 0002."""
LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""What INCR can hold (https://redis.io/docs/latest/commands/incr/)."""

_ONE_HIT = ("INCRBY", KEY, 1)
_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_SHOWN = 60


@dataclass(frozen=True)
class Schema:
    """What was done to the data: the revisions that were applied, since when it counts, and which one is unfinished.

    The last two are "" if there is none.
    """

    revisions: tuple[str, ...]
    since: str
    unfinished: str = ""


class NoIntegerError(RedisToolError):
    """The key holds something that cannot be counted on; the message says what to type."""


class Counter:
    """The number of hits, as any number of processes and threads share it.

    Every method raises UnavailableError when Redis cannot be used right now.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._breaker = Breaker(client)

    def hit(self) -> int:
        """Count one hit and return its number, which nobody else gets; raise NoIntegerError where it cannot."""
        (outcome,) = self.hits(1)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def hits(self, count: int, waited: float = 0.0) -> list[int | RedisToolError]:
        """Count so many hits that have `waited` so many seconds; return the number of each, or what `hit` would raise.

        Each has a command of its own, and all go to Redis in one write.
        """
        replies: list[Any] = []
        try:
            self._ask(lambda client: pipeline(client, _ONE_HIT, count, replies), waited)
        except RedisToolError as error:  # those that were answered before it are counted
            return [*map(_outcome, replies), *[error] * (count - len(replies))]
        return [*map(_outcome, replies)]

    def value(self) -> int:
        """Return the number of hits so far, 0 where there is none; raise NoIntegerError."""
        value = self._ask(lambda client: client.get(KEY))
        number = integer(value) if value is not None else 0
        if number is None:
            raise _no_integer()
        return number

    def schema(self) -> Schema:
        """Return which revisions are applied, without writing.

        Raises UnavailableError and NoIntegerError if `hit` would.
        """
        reads = (("GET", KEY), ("HKEYS", HISTORY), ("GET", SINCE), ("GET", UNFINISHED))
        replies: list[Any] = self._ask(lambda client: rehearse(client, _ONE_HIT, *reads))
        value, revisions, since, unfinished = replies
        if isinstance(value, redis.ResponseError):
            raise _explained(value) from value
        if value is not None and (number := integer(value)) in (None, HIGHEST):
            raise _no_integer() if number is None else _at_the_end()
        if isinstance(revisions, redis.ResponseError):
            raise UnavailableError(f"Redis refuses HKEYS {HISTORY}: {reason(revisions)}") from revisions
        return Schema(
            tuple(sorted(name.decode(errors="replace") for name in revisions)),
            since.decode(errors="replace") if isinstance(since, bytes) else "",
            unfinished_revision(unfinished) if isinstance(unfinished, bytes) else "",
        )

    def _ask(self, command: Callable[[redis.Redis], T], waited: float = 0.0) -> T:
        """Ask, and say what a refusal means: of the command, or of the connection that it needs."""
        try:
            return self._breaker.ask(command, waited)
        except redis.ResponseError as error:
            raise _explained(error) from error


def open_counter(settings: Settings) -> Counter:
    """Return the counter that `settings` point to, without asking Redis anything yet."""
    return Counter(open_client(settings))


def reset(client: redis.Redis, owner: Owner, to: int, wait: float = 0.0) -> int | str | None:
    """Set the counter while holding the lock, in one transaction, and return what it was.

    That is None where nothing was, and a short text fit to be shown for what was no integer. Waits up to `wait` seconds
    for the lock. Raises RefusedError, UnavailableError and redis.RedisError.
    """
    with hold_lock(client, owner, wait=wait) as lock, lock.transaction() as pipe:
        pipe.multi()
        pipe.type(KEY)  # SET replaces a value of any type, but its GET option refuses all but strings
        pipe.get(KEY)
        pipe.set(KEY, to)
        pipe.set(SINCE, now())
        kind, value, done, _ = pipe.execute(raise_on_error=False)
    if isinstance(done, redis.ResponseError):
        raise _explained(done) from done
    return _shown(kind, value)


def integer(value: object) -> int | None:
    """Return the number as Redis would read it, or None: no spaces, no plus, no leading zeros, 64 bits."""
    number = int(value) if isinstance(value, bytes) and _INTEGER.fullmatch(value) else None
    return number if number is not None and LOWEST <= number <= HIGHEST else None


def _shown(kind: object, value: object) -> int | str | None:
    if value is None:
        return None
    if not isinstance(value, bytes):
        return f"a {kind.decode() if isinstance(kind, bytes) else kind}"
    number = integer(value)
    if number is not None:
        return number
    shown = repr(value[: _SHOWN + 1].decode(errors="backslashreplace"))
    return shown if len(value) <= _SHOWN else f"{shown[:_SHOWN]}…' ({len(value)} bytes)"


def _outcome(reply: Any) -> int | RedisToolError:  # noqa: ANN401 - redis-py's
    return _explained(reply) if isinstance(reply, redis.ResponseError) else int(reply)


def _no_integer() -> NoIntegerError:
    return NoIntegerError(f"the key {KEY} holds no integer; `invoke reset` sets it to 0")


def _at_the_end() -> NoIntegerError:
    return NoIntegerError(f"the key {KEY} is at the end of 64 bits; `invoke reset` sets it to 0")


def _explained(error: redis.ResponseError) -> NoIntegerError | UnavailableError:
    """Return what a refusal of Redis means here: a bad value, or a server that takes no writes just now."""
    if is_about_value(error):
        return _at_the_end() if "overflow" in str(error) else _no_integer()
    return UnavailableError(f"Redis refuses: {reason(error)}")
