"""Replace all data by that of a backup, read from standard input; `invoke restore FILE` asks before."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import redis

from twelfth_redis.backup.dump import WHOLE_BYTES
from twelfth_redis.backup.format import FormatError, Manifest, printable, shown
from twelfth_redis.backup.prefetch import ahead
from twelfth_redis.backup.reader import Reader
from twelfth_redis.backup.sealed_gzip import unpacked
from twelfth_redis.backup.server_info import Server, observe
from twelfth_redis.backup.staging import Aside, claimed
from twelfth_redis.backup.tally import Loaded
from twelfth_redis.connection import connect
from twelfth_redis.errors import MISUSE, RefusedError, StoppedError, ended, ignore_signals, not_negative, tell
from twelfth_redis.lock import held, owner
from twelfth_redis.progress import Progress
from twelfth_redis.schema import history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from twelfth_redis.backup.reader import Batch
    from twelfth_redis.lock import Held

NAME = "restore"
KEPT = "the data is as it was"


def main(arguments: list[str] | None = None) -> int:
    """Restore, and return the exit code: 0 done, 1 refused, stopped or Redis is away, 2 misuse."""
    wait = _parser().parse_args(arguments).wait
    if sys.stdin.isatty():
        tell(NAME, "it reads a backup from standard input, which is a terminal; type: invoke restore FILE")
        return MISUSE
    return ended(NAME, lambda: _from_input(wait))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m admin.restore", description=__doc__)
    parser.add_argument("--wait", type=not_negative, default=0.0, metavar="S", help="wait for the lock (default: 0)")
    return parser


def _from_input(wait: float) -> None:
    # Unbuffered: Python's own stdin has a lock, on which a thread that still reads would keep the process from ending.
    with open(0, "rb", buffering=0, closefd=False) as stream:
        done = restore(stream, connect(os.environ), os.environ, wait, Progress(NAME).tell)
    print(done)


@dataclass(frozen=True)
class Restored:
    """What a restore came to: when and where it was saved, keys now, keys before, and revisions that are pending."""

    manifest: Manifest
    count: int
    replaced: int
    lacking: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        of = f"backup of {self.manifest.time}" + (f", release {self.manifest.release}" if self.manifest.release else "")
        done = f"restored {self.count:,} keys ({printable(of)}); replaced {self.replaced:,} keys"
        return f"{done}\nit lacks revision {', '.join(self.lacking)}; now: invoke migrate" if self.lacking else done


def restore(
    stream: BinaryIO,
    client: redis.Redis,
    environment: Mapping[str, str],
    wait: float,
    progress: Callable[[int], None],
) -> Restored:
    """Put the data of the backup in the place of all data of the client's database, at once, and return what was done.

    Raises RefusedError, and redis.RedisError; until the very last step the data is as it was.
    """
    with _told():
        reading = Reader(unpacked(stream))
        server = _suitable(observe(client))
        with held(client, owner(NAME, environment), wait=wait) as lock, claimed(lock, server.database) as aside:
            _refuse_full(client, reading.manifest)
            loaded = _load(lock, server, aside, reading, progress)
            _refuse_unusable(aside)
            return _swap(aside, reading.manifest, loaded)


def _suitable(server: Server) -> Server:
    """Return the server; raises RefusedError where nothing can be loaded at all."""
    if server.replica:
        raise RefusedError("this Redis is a replica, and follows its primary; point REDIS_URL to that, and repeat it")
    return server


FREED_SECONDS = 10.0
"""How long to wait for the memory of what was flushed: Redis frees it by the way."""


def _refuse_full(client: redis.Redis, manifest: Manifest) -> None:
    """Raise RefusedError where loading aside would cost live data; what earlier restores left is flushed by now."""
    deadline = time.monotonic() + FREED_SECONDS
    while (server := observe(client)).freeing and server.limit and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.evicts and server.memory + manifest.memory > server.limit:
        raise RefusedError(
            f"loading aside needs some {manifest.memory:,} bytes, {server.memory:,} of {server.limit:,} are in use: "
            f"Redis would evict live keys ({server.policy}); raise maxmemory, or set maxmemory-policy noeviction"
        )


def _load(lock: Held, server: Server, aside: Aside, reading: Reader, progress: Callable[[int], None]) -> Loaded:
    """Load all of the backup aside; return what was counted. The file is known to be right when this returns."""
    loaded = Loaded(began=lock.client.time()[0])
    try:
        batches = ahead(reading.batches())
        for batch in batches:
            if server.evicts or batch.more:
                _refuse_crowding(lock.client, batch)
            loaded.add(batch, aside.load(batch, _rest(batch, batches)))
            progress(loaded.count)
    except redis.ResponseError as error:
        raise _explained(error, reading.manifest, aside) from error
    return loaded


def _rest(batch: Batch, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches that a value goes on in."""
    while batch.more:
        batch = next(batches)
        yield batch


TAKEN = 4
"""How often a batch is in Redis's memory at most: received, queued, as keys, and what that is rounded up to."""
TAKEN_LARGE = 3
"""The same of one large value, beside what Redis does not count: it is written to a log, too, on the way there."""


def _refuse_crowding(client: redis.Redis, batch: Batch) -> None:
    """Raise RefusedError where the next batch would have Redis evict live keys, or be killed for its memory."""
    server = observe(client)
    if server.evicts and server.lacks(TAKEN * batch.size):
        raise RefusedError(f"Redis would evict live keys ({server.policy}) to load it aside; raise maxmemory; {KEPT}")
    if batch.size > WHOLE_BYTES and server.lacks(TAKEN_LARGE * batch.size):
        raise RefusedError(
            f"the value of {shown(batch.keys[0])} has {batch.size:,} bytes, and to load it Redis takes {TAKEN_LARGE} "
            f"times that: {server.memory:,} of {server.limit:,} are in use; raise maxmemory, then repeat it; {KEPT}"
        )


def _explained(error: redis.ResponseError, manifest: Manifest, aside: Aside) -> RefusedError:
    """Return what a refused RESTORE means."""
    text = str(error)
    if "version or checksum" in text:
        return RefusedError(
            f"this server, with payload version {aside.payload_version()}, cannot read what "
            f"{printable(manifest.server)} wrote, with {manifest.payload}, or a key is damaged; "
            "restore it on a server like that, or: invoke verify FILE"
        )
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM" in text:
        return RefusedError(f"Redis has no memory left to load it aside; raise maxmemory, then repeat it; {KEPT}")
    if "Bad data format" in text:
        return RefusedError(f"a key of it is damaged; use another copy of the file, after: invoke verify FILE; {KEPT}")
    return RefusedError(f"Redis refuses: {text}; {KEPT}")


def _refuse_unusable(aside: Aside) -> None:
    """Raise RefusedError where this release cannot use what was loaded."""
    if why := history.refusal(aside.client):
        raise RefusedError(f"this release cannot work with the data of the backup: {why}; {KEPT}")


def _swap(aside: Aside, manifest: Manifest, loaded: Loaded) -> Restored:
    """Swap it in; from here on it is too late to be stopped."""
    lacking = history.lacking(aside.client)
    ignore_signals()
    try:
        return Restored(manifest, *aside.swap(loaded), lacking)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise RefusedError(
            f"Redis went away ({error}) during the swap: either all is as before, or all as in the backup; "
            "`invoke status` tells when it is back, then repeat the restore"
        ) from error


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Have everything that goes wrong say in one line that nothing was lost."""
    try:
        yield
    except FormatError as error:
        raise RefusedError(f"the file cannot be restored: {error}; {KEPT}") from error
    except StoppedError as error:
        error.args = (f"{error}; {KEPT}",)
        raise
    except OSError as error:
        raise RefusedError(f"the file cannot be read ({error.strerror}); {KEPT}, repeat it") from error


if __name__ == "__main__":
    sys.exit(main())
