"""Put the data of a backup in the place of all data of a database, at once, after every byte of it was checked."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import redis

from twelfth_redis.backup.dump import WHOLE_BYTES
from twelfth_redis.backup.format import Manifest, empty_payload, printable, shown
from twelfth_redis.backup.gzip_stream import unpacked
from twelfth_redis.backup.reader import Batch, Reader
from twelfth_redis.backup.rights import refuse_forbidden
from twelfth_redis.backup.server_info import ServerInfo, observe
from twelfth_redis.backup.staging import StagingDatabase, claim
from twelfth_redis.connection import redis_errors
from twelfth_redis.errors import FormatError, RefusedError
from twelfth_redis.keys import MARK
from twelfth_redis.lock import HeldLock, Owner, hold_lock
from twelfth_redis.schema import history
from twelfth_redis.schema.migration import Migration
from twelfth_redis.schema.plan import problems
from twelfth_redis.schema.revisions import pending
from twelfth_redis.signals import ignore_signals, stop_hint

UNCHANGED = "the data is as it was"
UNREADABLE = "version or checksum"
"""What RESTORE says of a payload of a newer server, or of one whose CRC-64 is wrong."""


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
        omitted = self.manifest.omitted
        notes = (
            f"not in the backup: {printable(str(omitted))}" if omitted and str(omitted) else "",
            f"it lacks revision {', '.join(self.pending)}; now: invoke migrate" if self.pending else "",
        )
        return "\n".join(filter(None, (done, *notes)))


@dataclass(frozen=True)
class Restorer:
    """Restores into the client's database, waiting up to `wait` seconds for the lock.

    `migrations` are those of the release that will use the data. `progress` is called with the number of keys loaded so
    far, `warn` with a line about data that is left behind.
    """

    client: redis.Redis
    owner: Owner
    migrations: Sequence[Migration]
    progress: Callable[[int], None]
    wait: float = 0.0
    warn: Callable[[str], None] = print

    def restore(self, stream: BinaryIO) -> Restored:
        """Put the data of the backup in the place of all data of the database, at once, and return what was done.

        Raises RefusedError, and redis.RedisError; until the very last step the data is as it was.
        """
        with _unchanged_hint():
            reader = Reader(unpacked(stream))
            server = _fit_server(self.client, reader.manifest)
            with (
                hold_lock(self.client, self.owner, wait=self.wait) as lock,
                claim(lock, server.database, self.warn) as staging,
            ):
                _refuse_full(self.client, reader.manifest)
                _load(lock, server, staging, reader, self.progress)
                missing = self._check_compatible(staging)
                return _swap(staging, reader.manifest, missing)

    def _check_compatible(self, staging: StagingDatabase) -> tuple[str, ...]:
        """Return the revisions that are pending; raises RefusedError where the release cannot use what was loaded."""
        past = replace(history.read(staging.client), unfinished=None)  # it is restored as it was
        if why := problems(self.migrations, past, self.owner.release):
            raise RefusedError(f"this release cannot work with the data of the backup: {why[0]}; {UNCHANGED}")
        return pending((migration.revision for migration in self.migrations), past.applied)


def refuse_unrestorable(client: redis.Redis, stream: BinaryIO) -> None:
    """Raise RefusedError where this server cannot take the backup, of which only the head is read; change nothing."""
    with _unchanged_hint():
        _fit_server(client, Reader(unpacked(stream)).manifest)


def _fit_server(client: redis.Redis, manifest: Manifest) -> ServerInfo:
    """Return what the server says of itself; raises RefusedError where nothing of the backup could be loaded."""
    refuse_forbidden(client)
    server = observe(client)
    if server.replica:
        raise RefusedError(f"this Redis is a replica; {UNCHANGED}. Try: set REDIS_URL to its primary")
    try:  # it holds no value, so it is never written, but refused: for its version first
        client.restore(MARK, 0, empty_payload(manifest.payload))
    except redis.ResponseError as error:
        if manifest.payload and UNREADABLE in str(error):
            raise RefusedError(
                f"{server.name} cannot read what {printable(manifest.server)} wrote (payload version "
                f"{manifest.payload}); restore it on a server like that; {UNCHANGED}"
            ) from error
    return server


FREED_SECONDS = 10.0
"""How long to wait for the memory of what was flushed: Redis frees it by the way."""


def _refuse_full(client: redis.Redis, manifest: Manifest) -> None:
    """Raise RefusedError where staging would cost live data; what earlier restores left is flushed by now."""
    deadline = time.monotonic() + FREED_SECONDS
    while (server := observe(client)).freeing and server.limit and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.evicts and server.memory + manifest.memory > server.limit:
        raise RefusedError(
            f"to load it takes some {manifest.memory:,} bytes, {server.memory:,} of {server.limit:,} are in use: "
            f"Redis would evict live keys ({server.policy}); raise maxmemory, or set maxmemory-policy noeviction"
        )


def _load(
    lock: HeldLock, server: ServerInfo, staging: StagingDatabase, reader: Reader, progress: Callable[[int], None]
) -> None:
    """Load all of the backup into the staging database; the file is known to be right when this returns."""
    try:
        batches = reader.batches()
        for batch in batches:
            if server.evicts or batch.more:
                _refuse_crowding(lock.client, batch)
            staging.load(batch, _rest(batch, batches))
            progress(staging.tally.count)
    except redis.ResponseError as error:
        raise RefusedError(f"{_meaning(error)}; {UNCHANGED}") from error


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
        raise RefusedError(f"Redis would evict live keys ({server.policy}) to load it; raise maxmemory; {UNCHANGED}")
    if batch.size > WHOLE_BYTES and server.lacks_room(TAKEN_LARGE * batch.size):
        raise RefusedError(
            f"the value of {shown(batch.keys[0])} has {batch.size:,} bytes, and to load it Redis takes {TAKEN_LARGE} "
            f"times that: {server.memory:,} of {server.limit:,} are in use; raise maxmemory, then repeat it; "
            f"{UNCHANGED}"
        )


def _meaning(error: redis.ResponseError) -> str:
    """Return what a refused RESTORE means."""
    text = str(error)
    if UNREADABLE in text or "Bad data format" in text:
        return "a key of it is damaged; use another copy of the file, after: invoke verify FILE"
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM" in text:
        return "Redis has no memory left to load it; raise maxmemory, then repeat it"
    return f"Redis refuses: {text}"


def _swap(staging: StagingDatabase, manifest: Manifest, missing: tuple[str, ...]) -> Restored:
    """Swap it in; from here on it is too late to be stopped."""
    ignore_signals()
    try:
        return Restored(manifest, *staging.swap(), missing)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise RefusedError(
            f"Redis went away ({error}) during the swap: either all is as before, or all as in the backup; "
            "`invoke status` tells when it is back, then repeat the restore"
        ) from error


@contextlib.contextmanager
def _unchanged_hint() -> Iterator[None]:
    """Have everything that goes wrong say in one line that nothing was lost."""
    try:
        with stop_hint(UNCHANGED), redis_errors(UNCHANGED):
            yield
    except FormatError as error:
        raise RefusedError(f"the file cannot be restored: {error}; {UNCHANGED}") from error
    except OSError as error:
        raise RefusedError(f"the file cannot be read ({error.strerror}); {UNCHANGED}, repeat it") from error
