"""Set the counter of hits back to 0, or to N, and tell what it was."""

from __future__ import annotations

import argparse
import os
import sys

from service.counter import HIGHEST, KEY, LOWEST, queue_set, was
from twelfth_redis.connection import connect
from twelfth_redis.errors import ended, not_negative
from twelfth_redis.lock import held, owner


def main(arguments: list[str] | None = None) -> int:
    """Reset, and return the exit code: 0 done, 1 refused or Redis is away, 2 misuse."""
    options = _parser().parse_args(arguments)
    return ended("reset", lambda: _reset(options.to, options.wait))


def _reset(to: int, wait: float) -> None:
    with held(connect(os.environ), owner("reset", os.environ), wait=wait) as lock, lock.transaction() as pipe:
        pipe.multi()
        queue_set(pipe, to)
        before = was(pipe.execute(raise_on_error=False))
    sys.stdout.write(f"{KEY} was {'not set' if before is None else before}, is {to} now\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m admin.reset", description=__doc__)
    parser.add_argument("--to", type=_integer, default=0, metavar="N", help="what the counter is set to (default: 0)")
    parser.add_argument("--wait", type=not_negative, default=0.0, metavar="S", help="wait for the lock (default: 0 s)")
    return parser


def _integer(text: str) -> int:
    """Return the number; argparse turns the error into misuse."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(HIGHEST)) and LOWEST <= int(text) <= HIGHEST:
        return int(text)
    message = f"must be an integer of 64 bits, not {text[:40]!r}"
    raise argparse.ArgumentTypeError(message)


if __name__ == "__main__":
    sys.exit(main())
