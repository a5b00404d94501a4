"""Write a backup of all data to standard output, as `invoke backup FILE` keeps it."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

import redis

from twelfth_redis.backup.dump import Page, Snapshot, snapshot
from twelfth_redis.backup.format import EACH, TAIL, Manifest, Trailer, closing, opening, payload_version
from twelfth_redis.backup.prefetch import ahead
from twelfth_redis.backup.reader import first_commands
from twelfth_redis.backup.sealed_gzip import Packer
from twelfth_redis.backup.server_info import Server, observe
from twelfth_redis.connection import connect
from twelfth_redis.errors import MISUSE, RefusedError, ended, not_negative, tell
from twelfth_redis.keys import FENCE, LOCK
from twelfth_redis.lock import owner, raise_broken, read
from twelfth_redis.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from redis.client import Pipeline

NAME = "backup"


def main(arguments: list[str] | None = None) -> int:
    """Write the backup, and return the exit code: 0 done, 1 refused or Redis is away, 2 misuse."""
    parser = argparse.ArgumentParser(prog="python -m admin.backup", description=__doc__)
    parser.add_argument("--wait", type=not_negative, default=0.0, metavar="S", help="wait for the lock (default: 0)")
    parser.add_argument("--before-restore", action="store_true", help="refuse where this release could not restore")
    asked = parser.parse_args(arguments)
    if sys.stdout.isatty():
        tell(NAME, "it is binary, and standard output is a terminal; type: invoke backup FILE")
        return MISUSE
    return ended(NAME, lambda: _to_output(asked.wait, before_restore=asked.before_restore))


def _to_output(wait: float, *, before_restore: bool) -> None:
    if before_restore and not find_spec("hiredis"):
        raise RefusedError(
            "this release lacks hiredis, which restore needs; have redis[hiredis] in its requirements, then: invoke up"
        )
    began = time.monotonic()
    client = connect(os.environ)
    try:
        _await_unlocked(client, wait)
        done = backup(client, sys.stdout.buffer, os.environ, Progress(NAME).tell)
    except OSError as error:
        _abandon_output()
        raise RefusedError(f"the backup cannot be written ({error.strerror}); nothing is lost, repeat it") from error
    tell(NAME, f"{done} in {time.monotonic() - began:.1f} s")


@dataclass(frozen=True)
class Written:
    """What a backup came to; `size` in bytes, of the file."""

    count: int
    size: int
    guarantee: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.count:,} keys, {self.guarantee}, {self.size:,} bytes"


def backup(
    client: redis.Redis, stream: BinaryIO, environment: Mapping[str, str], progress: Callable[[int], None]
) -> Written:
    """Write all keys of the client's database to the stream, and return what it came to.

    Raises RefusedError, and OSError where the stream cannot be written to.
    """
    server = observe(client)
    with client.pipeline() as witness:
        witness.watch(FENCE)  # type: ignore[no-untyped-call]
        taken = snapshot(client, server.database)
        if taken.guarantee == EACH:
            _refuse_locked(client)
        pages = ahead(taken.pages)
        first = list(itertools.islice(pages, 1))
        manifest = _manifest(server, taken, _version(client, first), environment)
        packer = Packer(stream)
        trailer = _write(packer, manifest, _witnessed(witness, itertools.chain(first, pages)), progress)
        if taken.guarantee == EACH:
            _refuse_disturbed(witness)
    packer.write(closing(trailer))
    packer.close()
    return Written(trailer.count, packer.size, taken.guarantee)


def _write(packer: Packer, manifest: Manifest, pages: Iterable[Page], progress: Callable[[int], None]) -> Trailer:
    """Write all but the trailer, and return that."""
    count, digest = 0, hashlib.sha256()
    for block in _blocks(manifest, pages):
        digest.update(block.commands)
        packer.write(block.commands)
        count += block.count
        progress(count)
    return Trailer(count, digest.hexdigest())


def _blocks(manifest: Manifest, pages: Iterable[Page]) -> Iterator[Page]:
    yield Page(0, opening(manifest))
    yield from pages


def _manifest(server: Server, taken: Snapshot, version: int, environment: Mapping[str, str]) -> Manifest:
    ours = owner(NAME, environment)
    return Manifest(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        server=str(server),
        payload=version,
        database=server.database,
        guarantee=taken.guarantee,
        revisions=taken.revisions,
        keys=taken.keys,
        memory=server.dataset,
        release=ours.release,
        run=ours.run,
        operator=ours.operator,
    )


def _version(client: redis.Redis, first: list[Page]) -> int:
    """Return the version of the payloads, 0 where there is none; where the first is large, that of another DUMP."""
    if not first:
        return 0
    found = first_commands(first[0].commands, most=1).commands.removesuffix(TAIL)
    return payload_version(found or client.function_dump())


def _witnessed(witness: Pipeline, pages: Iterable[Page]) -> Iterator[Page]:
    """Yield the pages, and keep the connection that watches from being idle: some networks cut those."""
    for page in pages:
        witness.ping()
        yield page


def _await_unlocked(client: redis.Redis, seconds: float) -> None:
    """Return when nobody changes the data in bulk, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and client.exists(LOCK):
        time.sleep(0.05)


def _refuse_locked(client: redis.Redis) -> None:
    """Raise RefusedError while somebody changes the data in bulk: half of it would be old, and half new."""
    if isinstance(token := client.get(LOCK), bytes):
        raise RefusedError(f"the data is being changed by {read(token)}; let it finish, or wait for it: --wait SECONDS")


def _refuse_disturbed(witness: Pipeline) -> None:
    """Raise RefusedError where anybody held the lock since the key was watched."""
    witness.multi()
    witness.ping()
    try:
        witness.execute()
    except redis.WatchError as error:
        raise_broken(error)
        disturbed = "the data was changed in bulk (restore, migrate) meanwhile, this file is of no use; repeat it"
        raise RefusedError(disturbed) from None


def _abandon_output() -> None:
    """Have nothing written at exit: Python would flush, and complain once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
