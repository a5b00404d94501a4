"""The counter in Redis: one key, one plain integer, one atomic command a hit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import redis

from service.breaker import Link, UnavailableError, connection_arguments, reason
from twelfth_redis.schema.revisions import HISTORY, now

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.client import Pipeline

    from twelfth_redis.settings import Settings

__all__ = ["HIGHEST", "KEY", "LOWEST", "SINCE", "Counter", "NoIntegerError", "UnavailableError", "open_counter"]

T = TypeVar("T")

KEY = "hits"
SINCE = "hits:since"
"""Since when KEY counts: ISO 8601 in UTC. It is set with every reset, and by migration 0002."""
LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""What INCR can hold (https://redis.io/docs/latest/commands/incr/)."""

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_SHOWN = 60


@dataclass(frozen=True)
class Schema:
    """What was done to the data so far: the revisions that were applied, and since when it counts ("" if unknown)."""

    revisions: tuple[str, ...]
    since: str


class NoIntegerError(Exception):
    """The key holds something that cannot be counted on; the message says what to type."""


class Counter:
    """The number of hits, as any number of processes and threads share it.

    Every method raises UnavailableError when Redis cannot be used right now.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._link = Link(client)

    def hit(self) -> int:
        """Count one hit and return its number, which nobody else gets; raise NoIntegerError where it cannot."""
        return int(self._ask(lambda client: client.incr(KEY)))

    def value(self) -> int:
        """Return the number of hits so far, 0 where there is none; raise NoIntegerError."""
        held = self._ask(lambda client: client.get(KEY))
        number = integer(held) if held is not None else 0
        if number is None:
            raise _no_integer()
        return number

    def reset(self, to: int = 0) -> int | str | None:
        """Set the counter and return what it was, in one transaction; see `queue_set` and `was`."""

        def swap(client: redis.Redis) -> list[object]:
            transaction = client.pipeline(transaction=True)
            queue_set(transaction, to)
            return list(transaction.execute(raise_on_error=False))

        return was(self._ask(swap))

    def schema(self) -> Schema:
        """Return what was applied to the data."""

        def ask(client: redis.Redis) -> list[object]:
            pipeline = client.pipeline(transaction=False)
            pipeline.hkeys(HISTORY)
            pipeline.get(SINCE)
            return list(pipeline.execute(raise_on_error=False))

        revisions, since = self._ask(ask)
        if isinstance(revisions, redis.ResponseError):
            raise _explained(revisions) from revisions
        named = revisions if isinstance(revisions, list) else []
        told = since.decode(errors="replace") if isinstance(since, bytes) else ""
        return Schema(tuple(sorted(each.decode(errors="replace") for each in named)), told)

    def _ask(self, command: Callable[[redis.Redis], T]) -> T:
        """Ask, and say what a refusal means: of the command, or of the connection that it needs."""
        try:
            return self._link.ask(command)
        except redis.ResponseError as error:
            raise _explained(error) from error


def open_counter(settings: Settings) -> Counter:
    """Return the counter that `settings` point to, without asking Redis anything yet."""
    pool = redis.ConnectionPool(**connection_arguments(settings))
    return Counter(redis.Redis(connection_pool=pool))


def queue_set(transaction: Pipeline, to: int) -> None:
    """Queue the commands that set the counter; what they answer is for `was`.

    SET replaces a value of any type, but its GET option refuses all but strings, hence TYPE and GET.
    """
    transaction.type(KEY)
    transaction.get(KEY)
    transaction.set(KEY, to)
    transaction.set(SINCE, now())


def was(answers: Sequence[object]) -> int | str | None:
    """Return what the counter was before `queue_set`.

    None is for nothing, and a short text fit to be shown for what was no integer. Raises UnavailableError where Redis
    refused.
    """
    kind, held, done, _ = answers
    if isinstance(done, redis.ResponseError):
        raise _explained(done) from done
    return _shown(kind, held)


def integer(held: object) -> int | None:
    """Return the number as Redis would read it, or None: no spaces, no plus, no leading zeros, 64 bits."""
    number = int(held) if isinstance(held, bytes) and _INTEGER.fullmatch(held) else None
    return number if number is not None and LOWEST <= number <= HIGHEST else None


def _shown(kind: object, held: object) -> int | str | None:
    if held is None:
        return None
    if not isinstance(held, bytes):
        return f"a {kind.decode() if isinstance(kind, bytes) else kind}"
    number = integer(held)
    if number is not None:
        return number
    shown = repr(held[: _SHOWN + 1].decode(errors="backslashreplace"))
    return shown if len(held) <= _SHOWN else f"{shown[:_SHOWN]}…' ({len(held)} bytes)"


def _no_integer() -> NoIntegerError:
    return NoIntegerError(f"the key {KEY} holds no integer; `invoke reset` sets it to 0")


def _explained(error: redis.ResponseError) -> NoIntegerError | UnavailableError:
    """Return what a refusal of Redis means here: a bad value, or a server that takes no writes just now."""
    text = str(error)
    if "overflow" in text:
        return NoIntegerError(f"the key {KEY} is at the end of 64 bits; `invoke reset` sets it to 0")
    if "not an integer" in text or "WRONGTYPE" in text:
        return _no_integer()
    return UnavailableError(f"Redis refuses: {reason(error)}")
