"""The counter in Redis: one key, one plain integer, one atomic command a hit."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import redis

from service.link import AwayError, Link, connection_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.settings import Settings

__all__ = ["HIGHEST", "KEY", "LOWEST", "AwayError", "Counter", "NoIntegerError", "open_counter"]

KEY = "hits"
LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""What INCR can hold (https://redis.io/docs/latest/commands/incr/)."""

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_SHOWN = 60


class NoIntegerError(Exception):
    """The key holds something that cannot be counted on; the message says what to type."""


class Counter:
    """The number of hits, as any number of processes and threads share it.

    Every method raises AwayError when Redis cannot be used right now.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._link = Link(client)

    def hit(self) -> int:
        """Count one hit and return its number, which nobody else gets; raise NoIntegerError where it cannot."""
        try:
            return int(self._link.ask(lambda client: client.incr(KEY)))
        except redis.ResponseError as error:
            raise _explained(error) from error

    def value(self) -> int:
        """Return the number of hits so far, 0 where there is none; raise NoIntegerError."""
        try:
            held = self._link.ask(lambda client: client.get(KEY))
        except redis.ResponseError as error:
            raise _explained(error) from error
        number = _integer(held) if held is not None else 0
        if number is None:
            raise _no_integer()
        return number

    def reset(self, to: int = 0) -> int | str | None:
        """Set the counter and return what it was, in one transaction.

        Returns None where there was nothing, and a short text fit to be shown where it was no integer: SET
        replaces a value of any type, but its GET option refuses all but strings, hence MULTI.
        """

        def swap(client: redis.Redis) -> list[object]:
            transaction = client.pipeline(transaction=True)
            transaction.type(KEY)
            transaction.get(KEY)
            transaction.set(KEY, to)
            return list(transaction.execute(raise_on_error=False))

        kind, held, done = self._link.ask(swap)
        if isinstance(done, redis.ResponseError):
            raise _explained(done) from done
        return _shown(kind, held)

    def ping(self) -> None:
        """Return when Redis answers."""
        try:
            self._link.ask(lambda client: client.ping())
        except redis.ResponseError as error:
            raise _explained(error) from error

    def wait(self, seconds: float, pause: Callable[[float], None] = time.sleep) -> None:
        """Return as soon as Redis answers, within `seconds` or so; it may be starting."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.ping()
            except AwayError:
                if time.monotonic() >= deadline:
                    raise
                pause(0.1)
            else:
                return


def open_counter(settings: Settings) -> Counter:
    """Return the counter that `settings` point to, without asking Redis anything yet."""
    pool = redis.ConnectionPool(**connection_arguments(settings))
    return Counter(redis.Redis(connection_pool=pool))


def _integer(held: object) -> int | None:
    """Return the number as Redis would read it, or None: no spaces, no plus, no leading zeros, 64 bits."""
    number = int(held) if isinstance(held, bytes) and _INTEGER.fullmatch(held) else None
    return number if number is not None and LOWEST <= number <= HIGHEST else None


def _shown(kind: object, held: object) -> int | str | None:
    if held is None:
        return None
    if not isinstance(held, bytes):
        return f"a {kind.decode() if isinstance(kind, bytes) else kind}"
    number = _integer(held)
    if number is not None:
        return number
    shown = repr(held[: _SHOWN + 1].decode(errors="backslashreplace"))
    return shown if len(held) <= _SHOWN else f"{shown[:_SHOWN]}…' ({len(held)} bytes)"


def _no_integer() -> NoIntegerError:
    return NoIntegerError(f"the key {KEY} holds no integer; `invoke reset` sets it to 0")


def _explained(error: redis.ResponseError) -> NoIntegerError | AwayError:
    """Return what a refusal of Redis means here: a bad value, or a server that takes no writes just now."""
    text = str(error)
    if "overflow" in text:
        return NoIntegerError(f"the key {KEY} is at the end of 64 bits; `invoke reset` sets it to 0")
    if "not an integer" in text or "WRONGTYPE" in text:
        return _no_integer()
    return AwayError(f"Redis refuses: {text}")
