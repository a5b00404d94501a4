"""Write a backup of all keys of a database."""

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import redis
from redis.client import Pipeline

from twelfth_redis.backup.dump import Page, Snapshot, snapshot
from twelfth_redis.backup.format import EACH, Manifest, Trailer, closing, opening, payload_version
from twelfth_redis.backup.gzip_stream import GzipWriter
from twelfth_redis.backup.omitted import Omitted
from twelfth_redis.backup.server_info import database_of, observe_if_allowed, observe_omitted
from twelfth_redis.connection import is_forbidden
from twelfth_redis.errors import RefusedError
from twelfth_redis.keys import FENCE, LOCK
from twelfth_redis.lock import Owner, raise_broken_connection, read_owner
from twelfth_redis.timestamp import now


@dataclass(frozen=True)
class Written:
    """The result of a backup: keys, bytes of the file, the guarantee, and what is omitted."""

    count: int
    size: int
    guarantee: str
    omitted: Omitted = field(default_factory=Omitted)

    def __str__(self) -> str:
        """Return the result as a phrase."""
        return f"{self.count:,} keys, {self.guarantee}, {self.size:,} bytes"


def backup(
    client: redis.Redis, stream: BinaryIO, owner: Owner, progress: Callable[[int], None], wait: float = 0.0
) -> Written:
    """Write all keys of the client's database to the stream.

    Waits up to `wait` seconds for the lock to be released. Raises RefusedError, redis.RedisError, and OSError if the
    stream cannot be written.
    """
    _await_unlocked(client, wait)
    server, writer = observe_if_allowed(client), GzipWriter(stream)
    database, omitted = database_of(client), observe_omitted(client, server)
    with client.pipeline() as witness:
        witness.watch(FENCE)  # type: ignore[no-untyped-call]
        taken = snapshot(client, database)
        if taken.guarantee == EACH:
            _refuse_locked(client)
        manifest = Manifest(
            time=now(),
            server=server.name if server else "unknown",
            payload=_payload_version(client, taken),
            database=database,
            guarantee=taken.guarantee,
            revisions=taken.revisions,
            keys=taken.keys,
            memory=server.dataset if server else 0,
            release=owner.release,
            run=owner.run,
            operator=owner.operator,
            omitted=omitted,
        )
        count, digest = 0, hashlib.sha256()
        for page in itertools.chain([Page(0, opening(manifest))], taken.pages):
            witness.exists(FENCE)  # some networks close an idle connection
            digest.update(page.commands)
            writer.write(page.commands)
            count += page.count
            progress(count)
        if taken.guarantee == EACH:
            _refuse_disturbed(witness)
    writer.write(closing(Trailer(count, digest.hexdigest())))
    writer.close()
    return Written(count, writer.size, taken.guarantee, omitted)


def _payload_version(client: redis.Redis, taken: Snapshot) -> int:
    """Return the version of DUMP's payloads, 0 if there is no key."""
    if not taken.keys:
        return 0
    try:
        return payload_version(client.function_dump())
    except redis.ResponseError as error:
        if not is_forbidden(error):
            raise
        return taken.payload


def _await_unlocked(client: redis.Redis, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and client.exists(LOCK):
        time.sleep(0.05)


def _refuse_locked(client: redis.Redis) -> None:
    # Half of the data would be old, and half new.
    if isinstance(token := client.get(LOCK), bytes):
        raise RefusedError(f"the data is being changed by {read_owner(token)}. Try: repeat it with --wait SECONDS")


def _refuse_disturbed(witness: Pipeline) -> None:
    witness.multi()
    witness.exists(FENCE)  # unlike PING, a read is allowed in every state of the server
    try:
        witness.execute()
    except redis.WatchError as error:
        raise_broken_connection(error)
        disturbed = "a restore or migration changed the data meanwhile: this file is incomplete. Try: repeat the backup"
        raise RefusedError(disturbed) from None
