"""Set the counter of hits back to 0, or to N, and print what it was."""

import argparse
import sys

import redis

from service.counter import HIGHEST, KEY, LOWEST, SINCE, integer
from twelfth_redis.lock import Owner, hold_lock
from twelfth_redis.programs import add_wait, at_redis, parser, run
from twelfth_redis.timestamp import now

_SHOWN = 60


def main(arguments: list[str] | None = None) -> int:
    """Set the counter; return the exit code: 0 done, 1 refused or Redis is unavailable, 2 invalid argument."""
    options_parser = parser("reset", "Set the counter of hits to 0, or to N, and print its previous value.")
    options_parser.add_argument("--to", type=_integer, default=0, metavar="N", help="the new value (default: 0)")
    add_wait(options_parser)
    options = options_parser.parse_args(arguments)
    return run("reset", lambda: _reset(options.to, options.wait))


def reset(client: redis.Redis, owner: Owner, to: int, wait: float = 0.0) -> int | str | None:
    """Set the counter in one transaction that only the lock's owner can make, and return its previous value.

    The value is None if there was none, and a short printable text if it was no integer. Waits up to `wait` seconds for
    the lock. Raises RefusedError and redis.RedisError.
    """
    with hold_lock(client, owner, wait=wait) as lock, lock.transaction() as pipe:
        pipe.multi()
        pipe.type(KEY)  # SET replaces a value of any type, but its GET option refuses all but strings
        pipe.get(KEY)
        pipe.set(KEY, to)
        pipe.set(SINCE, now())
        kind, value, done, _ = pipe.execute(raise_on_error=False)
    if isinstance(done, redis.ResponseError):
        raise done
    return _shown(kind, value)


def _reset(to: int, wait: float) -> None:
    with at_redis("reset") as (client, owner):
        before = reset(client, owner, to, wait)
    print(f"{KEY} was {'not set' if before is None else before}, is {to} now")


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


def _integer(text: str) -> int:
    """Parse a 64-bit integer; argparse turns the error into exit code 2."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= len(str(HIGHEST)) and LOWEST <= int(text) <= HIGHEST:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be an integer of 64 bits, not {text[:40]!r}")


if __name__ == "__main__":
    sys.exit(main())
