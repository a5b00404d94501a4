"""Set the counter of hits back to 0, or to N, and tell what it was."""

import argparse
import sys

from service.counter import HIGHEST, KEY, LOWEST, reset
from twelfth_redis.programs import add_wait, at_redis, parser, run


def main(arguments: list[str] | None = None) -> int:
    """Reset, and return the exit code: 0 done, 1 refused or Redis is away, 2 misuse."""
    of = parser("reset", "Set the counter of hits back to 0, or to N, and tell what it was.")
    of.add_argument("--to", type=_integer, default=0, metavar="N", help="what the counter is set to (default: 0)")
    add_wait(of)
    options = of.parse_args(arguments)
    return run("reset", lambda: _reset(options.to, options.wait))


def _reset(to: int, wait: float) -> None:
    with at_redis("reset") as (client, who):
        before = reset(client, who, to, wait)
    print(f"{KEY} was {'not set' if before is None else before}, is {to} now")


def _integer(text: str) -> int:
    """Return the number; argparse turns the error into misuse."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(HIGHEST)) and LOWEST <= int(text) <= HIGHEST:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be an integer of 64 bits, not {text[:40]!r}")


if __name__ == "__main__":
    sys.exit(main())
