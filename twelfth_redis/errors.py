"""The face of an admin process: one line for what went wrong, and an exit code (1 refused or away, 2 misuse)."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import redis

from service.breaker import UnavailableError, reason
from twelfth_redis.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFUSED, MISUSE = 1, 2


class RefusedError(Exception):
    """What was asked for is not done; the message is one line and names the next command to type."""

    exit_code = REFUSED


class MisuseError(RefusedError):
    """What was asked for cannot be."""

    exit_code = MISUSE


class StoppedError(RefusedError):
    """A signal asked for the end."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Have TERM, INT and HUP raise StoppedError in here, once, so that what was begun is cleaned up."""

    def stop(number: int, _: object) -> NoReturn:
        ignore_signals()
        raise StoppedError(number)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Go on whatever is asked for, within `stoppable`."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def ended(name: str, body: Callable[[], None]) -> int:
    """Do the work of the command of that name, and return its exit code; what went wrong is one line on stderr."""
    try:
        with stoppable():
            body()
    except (SettingsError, RefusedError, UnavailableError, redis.RedisError) as error:
        why, code = _explained(error)
        tell(name, " ".join(why.split()))
        return code
    return 0


def _explained(error: SettingsError | RefusedError | UnavailableError | redis.RedisError) -> tuple[str, int]:
    """Return what went wrong in words, with what to do, and the exit code."""
    match error:
        case SettingsError():
            return str(error), MISUSE
        case RefusedError():
            return str(error), error.exit_code
        case UnavailableError():
            return str(error), REFUSED
        case redis.ConnectionError() | redis.TimeoutError():
            return f"Redis went away ({reason(error)}); `invoke status` tells more, then repeat it", REFUSED
        case redis.ReadOnlyError():
            return f"this Redis is a replica ({error}); point REDIS_URL to its primary, then repeat it", REFUSED
        case redis.RedisError():
            return f"Redis refuses: {reason(error)}; see: invoke logs redis", REFUSED


def not_negative(text: str) -> float:
    """Return the number that an argument of a command line is; raises argparse's error, which is misuse."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        message = f"must be a number, 0 or more, not {text[:40]!r}"
        raise argparse.ArgumentTypeError(message)
    return number


def tell(name: str, line: str) -> None:
    """Write a line of progress to standard error, where it is in nobody's way."""
    sys.stderr.write(f"{name}: {line}\n")
    sys.stderr.flush()
