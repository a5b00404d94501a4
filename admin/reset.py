"""Set the counter of hits back to 0, or to N, and tell what it was."""

from __future__ import annotations

import argparse
import os
import sys

from admin import _command
from service.counter import HIGHEST, KEY, LOWEST, reset
from twelfth_redis.connection import connect, redis_errors
from twelfth_redis.lock import owner

NAME = "reset"


def main(arguments: list[str] | None = None) -> int:
    """Reset, and return the exit code: 0 done, 1 refused or Redis is away, 2 misuse."""
    parser = _command.parser(NAME, __doc__)
    parser.add_argument("--to", type=_integer, default=0, metavar="N", help="what the counter is set to (default: 0)")
    _command.add_wait(parser)
    options = parser.parse_args(arguments)
    return _command.run(NAME, lambda: _reset(options.to, options.wait))


def _reset(to: int, wait: float) -> None:
    with redis_errors():
        before = reset(connect(os.environ), owner(NAME, os.environ), to, wait)
    sys.stdout.write(f"{KEY} was {'not set' if before is None else before}, is {to} now\n")


def _integer(text: str) -> int:
    """Return the number; argparse turns the error into misuse."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(HIGHEST)) and LOWEST <= int(text) <= HIGHEST:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be an integer of 64 bits, not {text[:40]!r}")


if __name__ == "__main__":
    sys.exit(main())
