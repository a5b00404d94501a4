"""The programs migrate, backup, restore and verify of any service, and helpers for the command line of any program.

Modules that need redis-py are imported where they are used: `verify` works without it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

from twelfth_redis.errors import FormatError, MisuseError, RedisToolError, RefusedError
from twelfth_redis.printable import printable
from twelfth_redis.progress import Progress
from twelfth_redis.signals import stop_hint, stoppable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    import redis

    from twelfth_redis.lock import Owner
    from twelfth_redis.schema.migrator import Migrator

    Arguments = Sequence[str] | None


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage: an operator types `invoke NAME`, not `python -m`."""

    def error(self, message: str) -> NoReturn:
        """Exit with the message and exit code 2."""
        self.exit(2, printable(f"{self.prog.rpartition('.')[2]}: {message}") + "\n")


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser for `python -m admin.NAME`."""
    return _Parser(prog=f"python -m admin.{name}", description=description)


def add_wait(options: argparse.ArgumentParser) -> None:
    """Add `--wait`, the seconds to wait for the lock."""
    options.add_argument(
        "--wait", type=not_negative, default=0.0, metavar="SECONDS", help="wait for the lock (default: 0)"
    )


def not_negative(text: str) -> float:
    """Parse a number of an argument; argparse turns the error into exit code 2."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number, 0 or more, not {text[:40]!r}")
    return number


def run(name: str, body: Callable[[], None]) -> int:
    """Do the work of a program and return its exit code; an error is one line on standard error.

    0: done; 1: refused, or Redis is unavailable; 2: invalid argument or environment; 128 + n: stopped by a signal.
    """
    try:
        with stoppable():
            body()
    except RedisToolError as error:
        say(name, " ".join(str(error).split()))
        return error.exit_code
    return 0


def say(name: str, line: str) -> None:
    """Write a line of the program to standard error; standard output is for data."""
    print(printable(f"{name}: {line}", "\n"), file=sys.stderr, flush=True)


def show(text: object) -> None:
    """Write text to standard output, with control characters escaped."""
    print(printable(str(text), "\n"), flush=True)


def show_json(value: object) -> None:
    """Write a value as JSON, with all control characters escaped, also DEL, which `json` does not escape."""
    print(json.dumps(value).replace("\x7f", r"\u007f"), flush=True)


@contextlib.contextmanager
def at_redis(name: str) -> Iterator[tuple[redis.Redis, Owner]]:
    """Yield a client of the service's Redis and this process as a lock owner; translate redis-py's errors."""
    from twelfth_redis.connection import connect, redis_errors
    from twelfth_redis.lock import owner

    with redis_errors():
        yield connect(os.environ), owner(name, os.environ)


def _refuse_terminal(stream: TextIO, why: str) -> None:
    if stream.isatty():
        raise MisuseError(why)


_NOT_WITH_ABANDON = ("status", "json", "to", "baseline", "throttle", "take_over", "allow_newer")


def migrate(folder: Path, arguments: Arguments = None) -> int:
    """Apply or revert the migrations of a folder, or show how they stand; return the exit code."""
    options_parser = parser("migrate", "Bring the data to the revision that this release needs, or show its state.")
    add = options_parser.add_argument
    add("--status", action="store_true", help="show each revision, and change nothing")
    add("--json", action="store_true", help="with --status: one JSON object")
    add("--dry", action="store_true", help="show what would change and the number of keys, and change nothing")
    add("--to", default="", metavar="REV", help="migrate up or down to a revision; 0 is before the first")
    add(
        "--baseline",
        default="",
        metavar="REV",
        help="record the revisions up to REV as applied, and change nothing else",
    )
    add_wait(options_parser)
    add("--throttle", type=not_negative, metavar="N", help="process at most N keys per second")
    add("--take-over", action="store_true", help="finish a migration that another release left unfinished")
    add("--abandon", default="", metavar="REV", help="clear an unfinished migration; its changes to the data stay")
    add("--allow-newer", action="store_true", help="accept newer data that older releases can work with")
    options = options_parser.parse_args(arguments)
    if options.abandon and (others := [name for name in _NOT_WITH_ABANDON if getattr(options, name)]):
        options_parser.error(f"--{others[0].replace('_', '-')} cannot be combined with --abandon")
    if options.json and not options.status:
        options_parser.error("--json requires --status")
    if options.throttle == 0:
        options_parser.error("argument --throttle: must be more than 0")
    return run("migrate", lambda: _migrate(folder, options))


def _migrate(folder: Path, options: argparse.Namespace) -> None:
    from twelfth_redis.schema.migration import load
    from twelfth_redis.schema.migrator import Migrator

    migrations, write, warn = load(folder), show, functools.partial(say, "migrate")
    with stop_hint("to see the state: invoke migrate --status"), at_redis("migrate") as (client, who):
        _do(Migrator(client, migrations, who, write, warn, options.allow_newer, options.take_over), options)


def _do(migrator: Migrator, options: argparse.Namespace) -> None:
    line = functools.partial(say, "migrate")
    if options.status:
        _show(migrator, as_json=options.json)
    elif options.abandon:
        _abandon(migrator, options)
    elif options.dry and options.baseline:
        migrator.preview_baseline(options.baseline, options.to)
    elif options.dry:
        migrator.preview(options.to)
    elif options.baseline:
        migrator.baseline(options.baseline, options.to, options.wait)
    elif pending := migrator.migrate(Progress(line, options.throttle), options.to, options.wait):
        line(f"a worker of this release is not ready without {', '.join(pending)}. Try: invoke migrate")


def _abandon(migrator: Migrator, options: argparse.Namespace) -> None:
    if options.dry:
        migrator.preview_abandon(options.abandon)
    else:
        migrator.abandon(options.abandon, options.wait)


def _show(migrator: Migrator, *, as_json: bool) -> None:
    from twelfth_redis.schema.status import table

    status = migrator.status()
    if as_json:
        show_json(asdict(status))
        return
    show("\n".join(table(status.migrations)) or "this release has no migrations")
    for line in status.problems or filter(None, [status.hint]):
        say("migrate", line)


def backup(arguments: Arguments = None) -> int:
    """Write a backup to standard output; return the exit code."""
    options_parser = parser(
        "backup", "Write all keys of the database to standard output; `invoke backup FILE` writes a file."
    )
    add_wait(options_parser)
    options_parser.add_argument(
        "--before-restore",
        action="store_true",
        help="refuse if the backup on standard input, if any, could not be restored afterwards",
    )
    options = options_parser.parse_args(arguments)
    return run("backup", lambda: _backup(options.wait, before_restore=options.before_restore))


def _backup(wait: float, *, before_restore: bool) -> None:
    from twelfth_redis.backup.format import printable
    from twelfth_redis.backup.write import backup

    _refuse_terminal(sys.stdout, "a backup is binary, and standard output is a terminal. Try: invoke backup FILE")
    started, line = time.monotonic(), functools.partial(say, "backup")
    try:
        with at_redis("backup") as (client, who):
            if before_restore:
                _refuse_unrestorable(client)
            done = backup(client, sys.stdout.buffer, who, Progress(line).update, wait)
    except OSError as error:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # Python flushes it on exit, and would print an error
        raise RefusedError(
            f"cannot write the backup: {error.strerror}; the data is unchanged. Try: repeat the command"
        ) from error
    line(f"{done} in {time.monotonic() - started:.1f} s")
    if str(done.omitted):
        line(f"not in the backup: {printable(str(done.omitted))}")


def _refuse_unrestorable(client: redis.Redis) -> None:
    """Raise RefusedError if the backup on standard input could not be restored."""
    from twelfth_redis.backup.restore import refuse_unrestorable

    if not find_spec("hiredis"):
        raise RefusedError(
            "this release lacks hiredis, which restore needs. "
            "Try: add redis[hiredis] to its requirements, then invoke up"
        )
    with open(0, "rb", closefd=False) as stream:
        if not stream.isatty() and stream.peek(1):
            refuse_unrestorable(client, stream)


def restore(folder: Path, arguments: Arguments = None) -> int:
    """Replace all data by the backup on standard input, for a release with these migrations; return the exit code."""
    options_parser = parser(
        "restore", "Replace all data by a backup on standard input; `invoke restore FILE` asks first."
    )
    add_wait(options_parser)
    wait = options_parser.parse_args(arguments).wait
    return run("restore", lambda: _restore(folder, wait))


def _restore(folder: Path, wait: float) -> None:
    from twelfth_redis.backup.restore import Restorer
    from twelfth_redis.schema.migration import load

    _refuse_terminal(sys.stdin, "standard input is a terminal, not a backup. Try: invoke restore FILE")
    line = functools.partial(say, "restore")
    migrations, progress = load(folder), Progress(line)
    with at_redis("restore") as (client, who), open(0, "rb", closefd=False) as stream:
        show(Restorer(client, who, migrations, progress.update, wait, line).restore(stream))


def verify(arguments: Arguments = None) -> int:
    """Check a backup and print its description; return the exit code."""
    options_parser = parser("verify", "Check a whole backup, and show its description.")
    options_parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="the backup (default: standard input)"
    )
    options_parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = options_parser.parse_args(arguments)
    return run("verify", lambda: _verify(options.file, as_json=options.json))


def _verify(file: str, *, as_json: bool) -> None:
    from twelfth_redis.backup.reader import verify

    piped = file == "-"
    if piped:
        _refuse_terminal(sys.stdin, "standard input is a terminal, not a backup. Try: invoke verify FILE")
    try:
        with open(0 if piped else file, "rb", closefd=not piped) as stream:
            backup = verify(stream)
    except (FormatError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise RefusedError(f"{'the file' if piped else file}: {why}") from error
    if as_json:
        show_json(backup.values())
    else:
        show("\n".join(backup.lines()))
