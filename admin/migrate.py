"""Bring the data to the revision that this release needs, or show how it stands."""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from twelfth_redis.connection import connect
from twelfth_redis.errors import RefusedError, StoppedError, ended, not_negative, tell
from twelfth_redis.lock import held, owner
from twelfth_redis.schema import history, plan, runner
from twelfth_redis.schema.history import Applied, Past
from twelfth_redis.schema.migration import load
from twelfth_redis.schema.revisions import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from twelfth_redis.lock import Held, Owner
    from twelfth_redis.schema.migration import Migration

_tell = functools.partial(tell, "migrate")


def main(arguments: list[str] | None = None) -> int:
    """Migrate, or show; return the exit code: 0 done, 1 refused or Redis is away, 2 misuse."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.json and not options.status:
        parser.error("--json goes with --status")
    return ended("migrate", lambda: _stoppable(options))


def _stoppable(options: argparse.Namespace) -> None:
    try:
        _main(options)
    except StoppedError as error:
        error.args = (f"{error}; to see what is done: invoke migrate --status",)
        raise


def _main(options: argparse.Namespace) -> None:
    known, ours = load(), owner("migrate", os.environ)
    client = connect(os.environ)
    if options.status:
        _show(known, history.read(client), ours, as_json=options.json)
    elif options.dry:
        _foretell(client, known, ours, options)
    else:
        with held(client, ours, wait=options.wait) as lock:
            _migrate(lock, known, ours, options)


def _checked(client: redis.Redis, known: Sequence[Migration], ours: Owner, options: argparse.Namespace) -> Past:
    """Return what was done to the data; raises RefusedError where this release must not go on from there."""
    past = history.read(client)
    release = "" if options.take_over else ours.release
    if problems := history.problems(known, past, release, ahead=options.allow_newer, to=_target(known, options.to)):
        raise RefusedError(problems[0])
    return past


def _target(known: Sequence[Migration], to: str) -> str:
    return plan.revision(known, to) if to else ""


def _migrate(lock: Held, known: Sequence[Migration], ours: Owner, options: argparse.Namespace) -> None:
    past = _checked(lock.client, known, ours, options)
    if options.baseline:
        _baseline(lock, known, past, ours, options.baseline)
        return
    wanted = plan.moves(known, past, options.to)
    pace = runner.Pace(_tell, options.throttle)
    for move in wanted:
        keys = runner.apply(lock, move, _record(move, ours), pace, now)
        print(_done(move, keys), flush=True)
    if not wanted:
        print(f"nothing to do: the data is at revision {past.revision or '0000'}")
    if lacking := history.lacking(lock.client):
        _tell(f"a worker of this release is not ready without {', '.join(lacking)}; to have it: invoke migrate")


def _done(move: plan.Move, keys: int) -> str:
    verb = "took back" if move.back else "applied"
    over = f" ({keys:,} keys)" if keys else ""
    return f"{verb} {move.migration.revision}: {move.migration.title}{over}"


def _record(move: plan.Move, ours: Owner) -> Applied:
    migration = move.migration
    return Applied(
        revision=migration.revision,
        title=migration.title,
        checksum=migration.checksum,
        release=ours.release,
        run=ours.run,
        operator=ours.operator,
        contract=migration.contract,
        down=move.back,
    )


def _baseline(lock: Held, known: Sequence[Migration], past: Past, ours: Owner, to: str) -> None:
    """Record the revisions up to one as applied, without doing anything to the data."""
    if past.unfinished:
        raise RefusedError(f"{past.unfinished.revision} was left unfinished; finish it first: invoke migrate")
    wanted = _marked(known, past, to)
    with lock.transaction() as pipe:
        pipe.multi()
        for move in wanted:
            record = asdict(_record(move, ours)) | {"applied": now(), "baseline": True}
            history.write(pipe, Applied(**record))
    for move in wanted:
        print(f"marked {move.migration.revision} as applied: {move.migration.title}")
    if not wanted:
        print(f"nothing to mark: the data is at revision {past.revision or '0000'}")


def _marked(known: Sequence[Migration], past: Past, to: str) -> list[plan.Move]:
    return [move for move in plan.moves(known, past, to) if not move.back]


def _foretell(client: redis.Redis, known: Sequence[Migration], ours: Owner, options: argparse.Namespace) -> None:
    """Say what would be done, and to how many keys as they are now."""
    past = _checked(client, known, ours, options)
    if options.baseline:
        for move in _marked(known, past, options.baseline):
            print(f"would mark {move.migration.revision} as applied: {move.migration.title}")
        return
    wanted = plan.moves(known, past, options.to)
    for move in wanted:
        count = runner.touched(client, move)
        print(f"would {move} ({count:,} {'key' if count == 1 else 'keys'})")
    if not wanted:
        print("nothing is pending")


def _show(known: Sequence[Migration], past: Past, ours: Owner, *, as_json: bool) -> None:
    states = history.states(known, past)
    problems = history.problems(known, past, ours.release)
    if as_json:
        told = {"revision": past.revision, "migrations": [asdict(each) for each in states], "problems": problems}
        print(json.dumps(told))
        return
    print("\n".join(history.table(states)) or "this release has no migrations")
    for problem in problems or _goes_on(past):
        _tell(problem)


def _goes_on(past: Past) -> tuple[str, ...]:
    """Return what to do about a migration that this release left unfinished."""
    if (begun := past.unfinished) is None:
        return ()
    return (f"{begun.revision} is unfinished{begun.why and f' ({begun.why})'}; to go on with it: invoke migrate",)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m admin.migrate", description=__doc__)
    parser.add_argument("--status", action="store_true", help="show each revision, and change nothing")
    parser.add_argument("--json", action="store_true", help="with --status: one JSON object")
    parser.add_argument(
        "--dry", action="store_true", help="say what would be done to how many keys, and change nothing"
    )
    parser.add_argument("--to", default="", metavar="REV", help="go up or down to a revision; 0 is before the first")
    parser.add_argument(
        "--baseline", default="", metavar="REV", help="record up to REV as applied, and do nothing else"
    )
    parser.add_argument("--wait", type=not_negative, default=0.0, metavar="S", help="wait for the lock (default: 0 s)")
    parser.add_argument("--throttle", type=not_negative, metavar="N", help="at most N keys a second")
    parser.add_argument("--take-over", action="store_true", help="finish what another release left unfinished")
    parser.add_argument(
        "--allow-newer", action="store_true", help="accept newer data that older releases can work with"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
