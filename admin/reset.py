"""Set the counter of hits back to 0, or to N, and tell what it was."""

from __future__ import annotations

import argparse
import os
import sys

from service.counter import HIGHEST, KEY, LOWEST, AwayError, open_counter
from service.settings import SettingsError, read_settings

PATIENCE_SECONDS = 3.0
"""How long to wait for a Redis that is starting; only the asking is repeated, the reset is sent once."""


def main(arguments: list[str] | None = None) -> int:
    """Reset, and return the exit code: 0 done, 1 Redis is away, 2 misuse."""
    to = _parser().parse_args(arguments).to
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        return _refuse(str(error), 2)
    counter = open_counter(settings)
    try:
        counter.wait(PATIENCE_SECONDS)
        was = counter.reset(to)
    except AwayError as error:
        return _refuse(f"{settings.address} is away ({error}); `invoke status` tells more", 1)
    sys.stdout.write(f"{KEY} was {'not set' if was is None else was}, is {to} now\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m admin.reset", description=__doc__)
    parser.add_argument("--to", type=_integer, default=0, metavar="N", help="what the counter is set to (default: 0)")
    return parser


def _integer(text: str) -> int:
    """Return the number; argparse turns the error into misuse."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(HIGHEST)) and LOWEST <= int(text) <= HIGHEST:
        return int(text)
    message = f"must be an integer of 64 bits, not {text[:40]!r}"
    raise argparse.ArgumentTypeError(message)


def _refuse(why: str, code: int) -> int:
    sys.stderr.write(f"reset: {why}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
