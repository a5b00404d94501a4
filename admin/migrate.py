"""Bring the data to the revision that this release needs, or show how it stands."""

from __future__ import annotations

import functools
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from admin import _command
from service.schema import MIGRATIONS
from twelfth_redis.connection import connect, redis_errors
from twelfth_redis.lock import owner
from twelfth_redis.schema.migration import load
from twelfth_redis.schema.migrator import Migrator
from twelfth_redis.schema.pace import Pace
from twelfth_redis.schema.status import table
from twelfth_redis.signals import stop_hint

if TYPE_CHECKING:
    import argparse

    from twelfth_redis.schema.migrator import Status

NAME = "migrate"
_print = functools.partial(print, flush=True)
_say = functools.partial(_command.say, NAME)


def main(arguments: list[str] | None = None) -> int:
    """Migrate, or show; return the exit code: 0 done, 1 refused or Redis is away, 2 misuse."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.json and not options.status:
        parser.error("--json goes with --status")
    return _command.run(NAME, lambda: _migrate(options))


def _migrate(options: argparse.Namespace) -> None:
    with stop_hint("to see what is done: invoke migrate --status"), redis_errors():
        migrations, client, who = load(MIGRATIONS), connect(os.environ), owner(NAME, os.environ)
        _do(Migrator(client, migrations, who, _print, options.allow_newer, options.take_over), options)


def _do(migrator: Migrator, options: argparse.Namespace) -> None:
    if options.status:
        _show(migrator.status(), as_json=options.json)
    elif options.dry and options.baseline:
        migrator.preview_baseline(options.baseline, options.to)
    elif options.dry:
        migrator.preview(options.to)
    elif options.baseline:
        migrator.baseline(options.baseline, options.to, options.wait)
    elif pending := migrator.migrate(Pace(_say, options.throttle), options.to, options.wait):
        _say(f"a worker of this release is not ready without {', '.join(pending)}; to have it: invoke migrate")


def _show(status: Status, *, as_json: bool) -> None:
    if as_json:
        migrations = [asdict(state) for state in status.migrations]
        print(json.dumps({"revision": status.revision, "migrations": migrations, "problems": status.problems}))
        return
    print("\n".join(table(status.migrations)) or "this release has no migrations")
    for line in status.problems or filter(None, [status.hint]):
        _say(line)


def _parser() -> argparse.ArgumentParser:
    parser = _command.parser(NAME, __doc__)
    parser.add_argument("--status", action="store_true", help="show each revision, and change nothing")
    parser.add_argument("--json", action="store_true", help="with --status: one JSON object")
    parser.add_argument(
        "--dry", action="store_true", help="say what would be done to how many keys, and change nothing"
    )
    parser.add_argument("--to", default="", metavar="REV", help="go up or down to a revision; 0 is before the first")
    parser.add_argument(
        "--baseline", default="", metavar="REV", help="record up to REV as applied, and do nothing else"
    )
    _command.add_wait(parser)
    parser.add_argument("--throttle", type=_command.not_negative, metavar="N", help="at most N keys a second")
    parser.add_argument("--take-over", action="store_true", help="finish what another release left unfinished")
    parser.add_argument(
        "--allow-newer", action="store_true", help="accept newer data that older releases can work with"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
