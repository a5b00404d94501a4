"""The face of an admin process: one line for what went wrong, and an exit code (1 refused or away, 2 misuse)."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import redis

from service.counter import AwayError
from service.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED, MISUSE = 1, 2


class RefusedError(Exception):
    """What was asked for is not done; the message is one line and names the next command to type."""

    exit_code = REFUSED


class MisuseError(RefusedError):
    """What was asked for cannot be."""

    exit_code = MISUSE


def ended(name: str, body: Callable[[], None]) -> int:
    """Do the work of the command of that name, and return its exit code; what went wrong is one line on stderr."""
    try:
        body()
    except SettingsError as error:
        return _say(name, str(error), MISUSE)
    except RefusedError as error:
        return _say(name, str(error), error.exit_code)
    except AwayError as error:
        return _say(name, str(error), REFUSED)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        return _say(name, f"Redis went away ({error}); `invoke status` tells more, then repeat it", REFUSED)
    except redis.RedisError as error:
        return _say(name, f"Redis refuses: {error}", REFUSED)
    return 0


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


def _say(name: str, why: str, code: int) -> int:
    tell(name, " ".join(why.split()))
    return code
