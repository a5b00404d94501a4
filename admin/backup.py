"""Write a backup of all data to standard output, as `invoke backup FILE` keeps it."""

from __future__ import annotations

import functools
import os
import sys
import time
from importlib.util import find_spec

from admin import _command
from twelfth_redis.backup.write import backup
from twelfth_redis.connection import connect, redis_errors
from twelfth_redis.errors import RefusedError
from twelfth_redis.lock import owner
from twelfth_redis.progress import Progress

NAME = "backup"
_say = functools.partial(_command.say, NAME)


def main(arguments: list[str] | None = None) -> int:
    """Write the backup, and return the exit code: 0 done, 1 refused or Redis is away, 2 misuse."""
    parser = _command.parser(NAME, __doc__)
    _command.add_wait(parser)
    parser.add_argument("--before-restore", action="store_true", help="refuse where this release could not restore")
    options = parser.parse_args(arguments)
    return _command.run(NAME, lambda: _backup(options.wait, before_restore=options.before_restore))


def _backup(wait: float, *, before_restore: bool) -> None:
    _command.refuse_terminal(sys.stdout, "it is binary, and standard output is a terminal; type: invoke backup FILE")
    if before_restore and not find_spec("hiredis"):
        raise RefusedError(
            "this release lacks hiredis, which restore needs; have redis[hiredis] in its requirements, then: invoke up"
        )
    started = time.monotonic()
    try:
        with redis_errors():
            client = connect(os.environ)
            done = backup(client, sys.stdout.buffer, owner(NAME, os.environ), Progress(_say).update, wait)
    except OSError as error:
        _abandon_output()
        raise RefusedError(f"the backup cannot be written ({error.strerror}); nothing is lost, repeat it") from error
    _say(f"{done} in {time.monotonic() - started:.1f} s")


def _abandon_output() -> None:
    """Have nothing written at exit: Python would flush, and complain once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
