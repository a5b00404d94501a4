"""Replace all data of a database atomically by a backup, after checking every byte of the file."""

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

UNCHANGED = "the data is unchanged"
UNREADABLE = "version or checksum"
"""In RESTORE's error about a payload of a newer server, or with a wrong CRC-64."""


@dataclass(frozen=True)
class Restored:
    """The result of a restore: the manifest, the number of keys now and before, and the pending revisions."""

    manifest: Manifest
    count: int
    replaced: int
    pending: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the result as one to three lines."""
        origin = f"backup of {self.manifest.time}" + (
            f", release {self.manifest.release}" if self.manifest.release else ""
        )
        done = f"restored {self.count:,} keys ({printable(origin)}); replaced {self.replaced:,} keys"
        omitted = self.manifest.omitted
        notes = (
            f"not in the backup: {printable(str(omitted))}" if omitted and str(omitted) else "",
            f"it lacks revision {', '.join(self.pending)}. Try: invoke migrate" if self.pending else "",
        )
        return "\n".join(filter(None, (done, *notes)))


@dataclass(frozen=True)
class Restorer:
    """Restores into the client's database, waiting up to `wait` seconds for the lock.

    `migrations` are those of the release that will use the data. `progress` is called with the number of keys loaded so
    far, `warn` with a line about data that remains in the staging database.
    """

    client: redis.Redis
    owner: Owner
    migrations: Sequence[Migration]
    progress: Callable[[int], None]
    wait: float = 0.0
    warn: Callable[[str], None] = print

    def restore(self, stream: BinaryIO) -> Restored:
        """Replace all data of the database atomically by the backup.

        Raises RefusedError and redis.RedisError; the data is unchanged until the last step.
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
        """Return the pending revisions; raises RefusedError if the release cannot use the loaded data."""
        past = replace(history.read(staging.client), unfinished=None)  # it is restored as well
        if why := problems(self.migrations, past, self.owner.release):
            raise RefusedError(f"this release cannot work with the data of the backup; {UNCHANGED}: {why[0]}")
        return pending((migration.revision for migration in self.migrations), past.applied)


def refuse_unrestorable(client: redis.Redis, stream: BinaryIO) -> None:
    """Raise RefusedError if this server cannot load the backup; reads only its manifest, and changes nothing."""
    with _unchanged_hint():
        _fit_server(client, Reader(unpacked(stream)).manifest)


def _fit_server(client: redis.Redis, manifest: Manifest) -> ServerInfo:
    """Return the facts about the server; raises RefusedError if it cannot load any of the backup."""
    refuse_forbidden(client)
    server = observe(client)
    if server.replica:
        raise RefusedError(f"this Redis is a replica; {UNCHANGED}. Try: set REDIS_URL to its primary")
    try:  # without a value it is always refused, and an unknown version is reported first
        client.restore(MARK, 0, empty_payload(manifest.payload))
    except redis.ResponseError as error:
        if manifest.payload and UNREADABLE in str(error):
            raise RefusedError(
                f"{server.name} cannot read what {printable(manifest.server)} wrote (payload version "
                f"{manifest.payload}); {UNCHANGED}. Try: restore it on a server of that version"
            ) from error
    return server


FREED_SECONDS = 10.0
"""How long to wait for the memory of flushed keys, which Redis frees in the background."""


def _refuse_full(client: redis.Redis, manifest: Manifest) -> None:
    # Data of earlier restores is flushed by now.
    deadline = time.monotonic() + FREED_SECONDS
    while (server := observe(client)).freeing and server.limit and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.evicts and server.memory + manifest.memory > server.limit:
        raise RefusedError(
            f"the backup needs about {manifest.memory:,} bytes, and {server.memory:,} of {server.limit:,} are in use: "
            f"Redis would evict live keys ({server.policy}). Try: raise maxmemory, or set maxmemory-policy noeviction"
        )


def _load(
    lock: HeldLock, server: ServerInfo, staging: StagingDatabase, reader: Reader, progress: Callable[[int], None]
) -> None:
    """Load the backup into the staging database; the file is known to be valid when this returns."""
    try:
        batches = reader.batches()
        for batch in batches:
            if server.evicts or batch.more:
                _refuse_crowding(lock.client, batch)
            staging.load(batch, _rest(batch, batches))
            progress(staging.tally.count)
    except redis.ResponseError as error:
        what, remedy = _meaning(error)
        raise RefusedError(f"{what}; {UNCHANGED}. Try: {remedy}") from error


def _rest(batch: Batch, batches: Iterator[Batch]) -> Iterator[Batch]:
    while batch.more:
        batch = next(batches)
        yield batch


TAKEN = 4
"""The most copies of a batch in Redis's memory: received, queued, as keys, and rounded up."""
TAKEN_LARGE = 3
"""The same for one large value, without memory that Redis does not count, such as for the append-only file."""


def _refuse_crowding(client: redis.Redis, batch: Batch) -> None:
    # With too little memory, Redis would evict live keys, or be killed.
    server = observe(client)
    if server.evicts and server.lacks_room(TAKEN * batch.size):
        raise RefusedError(
            f"Redis would evict live keys ({server.policy}) to load it; {UNCHANGED}. Try: raise maxmemory"
        )
    if batch.size > WHOLE_BYTES and server.lacks_room(TAKEN_LARGE * batch.size):
        raise RefusedError(
            f"the value of {shown(batch.keys[0])} has {batch.size:,} bytes, and loading it needs {TAKEN_LARGE} "
            f"times that: {server.memory:,} of {server.limit:,} are in use; {UNCHANGED}. "
            "Try: raise maxmemory, then repeat the restore"
        )


def _meaning(error: redis.ResponseError) -> tuple[str, str]:
    text = str(error)
    if UNREADABLE in text or "Bad data format" in text:
        return "a key of the backup is damaged", "use another copy of the file, after invoke verify FILE"
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM" in text:
        return "Redis has no memory left to load it", "raise maxmemory, then repeat the restore"
    return f"Redis refuses: {text}", "invoke logs redis"


def _swap(staging: StagingDatabase, manifest: Manifest, missing: tuple[str, ...]) -> Restored:
    # From here on, it is too late to stop.
    ignore_signals()
    try:
        return Restored(manifest, *staging.swap(), missing)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise RefusedError(
            f"lost the connection to Redis ({error}) during the swap: the data is either unchanged or all restored. "
            "Try: invoke status, then repeat the restore"
        ) from error


@contextlib.contextmanager
def _unchanged_hint() -> Iterator[None]:
    """Add to every error inside the block that the data is unchanged."""
    try:
        with stop_hint(UNCHANGED), redis_errors(UNCHANGED):
            yield
    except FormatError as error:
        raise RefusedError(f"the file cannot be restored; {UNCHANGED}: {error}") from error
    except OSError as error:
        raise RefusedError(f"cannot read the file: {error.strerror}; {UNCHANGED}. Try: repeat the restore") from error
