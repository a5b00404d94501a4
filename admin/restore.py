"""Replace all data by that of a backup, read from standard input; `invoke restore FILE` asks before."""

from __future__ import annotations

import functools
import os
import sys

from admin import _command
from service.schema import MIGRATIONS
from twelfth_redis.backup.restore import Restorer
from twelfth_redis.connection import connect, redis_errors
from twelfth_redis.lock import owner
from twelfth_redis.progress import Progress
from twelfth_redis.schema.migration import load

NAME = "restore"


def main(arguments: list[str] | None = None) -> int:
    """Restore, and return the exit code: 0 done, 1 refused, stopped or Redis is away, 2 misuse."""
    parser = _command.parser(NAME, __doc__)
    _command.add_wait(parser)
    wait = parser.parse_args(arguments).wait
    return _command.run(NAME, lambda: _restore(wait))


def _restore(wait: float) -> None:
    why = "it reads a backup from standard input, which is a terminal; type: invoke restore FILE"
    _command.refuse_terminal(sys.stdin, why)
    # Unbuffered: Python's own stdin has a lock, on which a thread that still reads would keep the process from ending.
    with redis_errors(), open(0, "rb", buffering=0, closefd=False) as stream:
        migrations, client = load(MIGRATIONS), connect(os.environ)
        progress = Progress(functools.partial(_command.say, NAME))
        print(Restorer(client, owner(NAME, os.environ), migrations, progress.update, wait).restore(stream))


if __name__ == "__main__":
    sys.exit(main())
