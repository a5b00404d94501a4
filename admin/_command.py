"""What the one-off processes share: their command lines, one line for what went wrong, and an exit code."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from twelfth_redis.errors import MisuseError, RedisToolError
from twelfth_redis.signals import stoppable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `python -m admin.NAME`."""
    return argparse.ArgumentParser(prog=f"python -m admin.{name}", description=description)


def add_wait(to: argparse.ArgumentParser) -> None:
    """Add `--wait`, how many seconds to wait for the lock."""
    to.add_argument("--wait", type=not_negative, default=0.0, metavar="S", help="wait for the lock (default: 0 s)")


def not_negative(text: str) -> float:
    """Return the number that an argument is; argparse turns its error into misuse."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number, 0 or more, not {text[:40]!r}")
    return number


def run(name: str, body: Callable[[], None]) -> int:
    """Do the work of a command and return its exit code; what went wrong is one line on standard error.

    0 is done, 1 refused or Redis is away, 2 misuse, 128 and more stopped by a signal.
    """
    try:
        with stoppable():
            body()
    except RedisToolError as error:
        say(name, " ".join(str(error).split()))
        return error.exit_code
    return 0


def refuse_terminal(stream: TextIO, why: str) -> None:
    """Raise MisuseError where what should be a file or a pipe is a terminal."""
    if stream.isatty():
        raise MisuseError(why)


def say(name: str, line: str) -> None:
    """Write a line of the command to standard error, where it is in nobody's way."""
    sys.stderr.write(f"{name}: {line}\n")
    sys.stderr.flush()
