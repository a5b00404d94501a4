"""Put the data of a backup in the place of all data of a database, at once, after every byte of it was checked."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import redis

from twelfth_redis.backup.dump import WHOLE_BYTES
from twelfth_redis.backup.format import Manifest, printable, shown
from twelfth_redis.backup.prefetch import prefetched
from twelfth_redis.backup.reader import Reader
from twelfth_redis.backup.sealed_gzip import unpacked
from twelfth_redis.backup.server_info import ServerInfo, observe
from twelfth_redis.backup.staging import StagingDatabase, claim
from twelfth_redis.backup.tally import Tally
from twelfth_redis.errors import FormatError, RefusedError
from twelfth_redis.lock import hold_lock
from twelfth_redis.schema import history
from twelfth_redis.schema.compatibility import pending, problems
from twelfth_redis.signals import ignore_signals, stop_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from twelfth_redis.backup.reader import Batch
    from twelfth_redis.lock import HeldLock, Owner
    from twelfth_redis.schema.migration import Migration

UNCHANGED = "the data is as it was"


@dataclass(frozen=True)
class Restored:
    """What a restore came to: when and where it was saved, keys now, keys before, and revisions that are pending."""

    manifest: Manifest
    count: int
    replaced: int
    pending: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        of = f"backup of {self.manifest.time}" + (f", release {self.manifest.release}" if self.manifest.release else "")
        done = f"restored {self.count:,} keys ({printable(of)}); replaced {self.replaced:,} keys"
        return f"{done}\nit lacks revision {', '.join(self.pending)}; now: invoke migrate" if self.pending else done


@dataclass(frozen=True)
class Restorer:
    """What restores into the client's database, waiting up to `wait` seconds for the lock.

    `migrations` are those of the release that will use the data; `progress` gets how many keys are loaded so far.
    """

    client: redis.Redis
    owner: Owner
    migrations: Sequence[Migration]
    progress: Callable[[int], None]
    wait: float = 0.0

    def restore(self, stream: BinaryIO) -> Restored:
        """Put the data of the backup in the place of all data of the database, at once, and return what was done.

        Raises RefusedError, and redis.RedisError; until the very last step the data is as it was.
        """
        with _unchanged_hint():
            reader = Reader(unpacked(stream))
            server = observe(self.client)
            _refuse_replica(server)
            with (
                hold_lock(self.client, self.owner, wait=self.wait) as lock,
                claim(lock, server.database) as staging,
            ):
                _refuse_full(self.client, reader.manifest)
                tally = _load(lock, server, staging, reader, self.progress)
                missing = self._check_compatible(staging)
                return _swap(staging, reader.manifest, tally, missing)

    def _check_compatible(self, staging: StagingDatabase) -> tuple[str, ...]:
        """Return the revisions that are pending; raises RefusedError where the release cannot use what was loaded."""
        past = history.read(staging.client)
        if why := problems(self.migrations, past, self.owner.release):
            raise RefusedError(f"this release cannot work with the data of the backup: {why[0]}; {UNCHANGED}")
        return pending((migration.revision for migration in self.migrations), past.applied)


def _refuse_replica(server: ServerInfo) -> None:
    """Raise RefusedError where nothing can be loaded at all."""
    if server.replica:
        raise RefusedError("this Redis is a replica, and follows its primary; point REDIS_URL to that, and repeat it")


FREED_SECONDS = 10.0
"""How long to wait for the memory of what was flushed: Redis frees it by the way."""


def _refuse_full(client: redis.Redis, manifest: Manifest) -> None:
    """Raise RefusedError where staging would cost live data; what earlier restores left is flushed by now."""
    deadline = time.monotonic() + FREED_SECONDS
    while (server := observe(client)).freeing and server.limit and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.evicts and server.memory + manifest.memory > server.limit:
        raise RefusedError(
            f"loading aside needs some {manifest.memory:,} bytes, {server.memory:,} of {server.limit:,} are in use: "
            f"Redis would evict live keys ({server.policy}); raise maxmemory, or set maxmemory-policy noeviction"
        )


def _load(
    lock: HeldLock, server: ServerInfo, staging: StagingDatabase, reader: Reader, progress: Callable[[int], None]
) -> Tally:
    """Load all of the backup into the staging database; return what was counted.

    The file is known to be right when this returns.
    """
    tally = Tally(started=lock.client.time()[0])
    try:
        batches = prefetched(reader.batches())
        for batch in batches:
            if server.evicts or batch.more:
                _refuse_crowding(lock.client, batch)
            tally.add(batch, staging.load(batch, _rest(batch, batches)))
            progress(tally.count)
    except redis.ResponseError as error:
        raise _explained(error, reader.manifest, staging) from error
    return tally


def _rest(batch: Batch, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches that a value goes on in."""
    while batch.more:
        batch = next(batches)
        yield batch


TAKEN = 4
"""How often a batch is in Redis's memory at most: received, queued, as keys, and what that is rounded up to."""
TAKEN_LARGE = 3
"""The same of one large value, besides what Redis does not count: it is written to a log, too, on the way there."""


def _refuse_crowding(client: redis.Redis, batch: Batch) -> None:
    """Raise RefusedError where the next batch would have Redis evict live keys, or be killed for its memory."""
    server = observe(client)
    if server.evicts and server.lacks_room(TAKEN * batch.size):
        raise RefusedError(
            f"Redis would evict live keys ({server.policy}) to load it aside; raise maxmemory; {UNCHANGED}"
        )
    if batch.size > WHOLE_BYTES and server.lacks_room(TAKEN_LARGE * batch.size):
        raise RefusedError(
            f"the value of {shown(batch.keys[0])} has {batch.size:,} bytes, and to load it Redis takes {TAKEN_LARGE} "
            f"times that: {server.memory:,} of {server.limit:,} are in use; raise maxmemory, then repeat it; "
            f"{UNCHANGED}"
        )


def _explained(error: redis.ResponseError, manifest: Manifest, staging: StagingDatabase) -> RefusedError:
    """Return what a refused RESTORE means."""
    text = str(error)
    if "version or checksum" in text:
        return RefusedError(
            f"this server, with payload version {staging.payload_version()}, cannot read what "
            f"{printable(manifest.server)} wrote, with {manifest.payload}, or a key is damaged; "
            "restore it on a server like that, or: invoke verify FILE"
        )
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM" in text:
        return RefusedError(f"Redis has no memory left to load it aside; raise maxmemory, then repeat it; {UNCHANGED}")
    if "Bad data format" in text:
        return RefusedError(
            f"a key of it is damaged; use another copy of the file, after: invoke verify FILE; {UNCHANGED}"
        )
    return RefusedError(f"Redis refuses: {text}; {UNCHANGED}")


def _swap(staging: StagingDatabase, manifest: Manifest, tally: Tally, missing: tuple[str, ...]) -> Restored:
    """Swap it in; from here on it is too late to be stopped."""
    ignore_signals()
    try:
        return Restored(manifest, *staging.swap(tally), missing)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise RefusedError(
            f"Redis went away ({error}) during the swap: either all is as before, or all as in the backup; "
            "`invoke status` tells when it is back, then repeat the restore"
        ) from error


@contextlib.contextmanager
def _unchanged_hint() -> Iterator[None]:
    """Have everything that goes wrong say in one line that nothing was lost."""
    try:
        with stop_hint(UNCHANGED):
            yield
    except FormatError as error:
        raise RefusedError(f"the file cannot be restored: {error}; {UNCHANGED}") from error
    except OSError as error:
        raise RefusedError(f"the file cannot be read ({error.strerror}); {UNCHANGED}, repeat it") from error
