"""A staging database: an empty one, into which a restore loads a backup, checks it, and swaps it in.

A key marks it with the live database and this restore. If a restore was killed, the next one of the same database
recognises the mark; it holds the lock, so the other one cannot be running. All writes are fenced: loading and swapping
by the lock, flushing by the mark.
"""

import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import redis

from twelfth_redis.backup.raw_connection import RawConnection, packed
from twelfth_redis.backup.reader import Batch
from twelfth_redis.backup.rights import forbidden
from twelfth_redis.backup.server_info import user_of
from twelfth_redis.connection import code, reason
from twelfth_redis.errors import LockLostError, RefusedError
from twelfth_redis.keys import FENCE, LOCK, MARK
from twelfth_redis.lock import ATTEMPTS, HeldLock, retry_on_conflict

_CLAIM = """#!lua
local live, prefix, mine = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local used, refused = {}, {}
for i = 4, #ARGV do used[tonumber(ARGV[i])] = true end

local function allowed(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) ~= 'table' or not reply.err then return true end
  refused[#refused + 1] = command
  refused[#refused + 1] = reply.err
end

local databases, reply = 0, redis.pcall('SELECT', 0)
while not reply.err do
  databases = databases + 1
  reply = redis.pcall('SELECT', databases)
end
local claimed = -1
for number = databases - 1, 0, -1 do
  redis.call('SELECT', number)
  local mark = redis.pcall('GET', KEYS[1])
  if number ~= live and type(mark) == 'string' and string.sub(mark, 1, #prefix) == prefix then
    allowed('FLUSHDB', 'ASYNC')
  end
  if not used[number] and claimed < 0 and redis.call('DBSIZE') == 0 then claimed = number end
end
if claimed >= 0 then
  redis.call('SELECT', claimed)
  -- This database is empty, so the commands that end a restore can be tried here.
  local swapped, flushed = allowed('SWAPDB', claimed, claimed), allowed('FLUSHDB', 'ASYNC')
  if swapped and flushed then redis.call('SET', KEYS[1], mine) end
end
return {databases, claimed, reply.err, refused}
"""
"""Returns the number of databases, the claimed one or -1, the last error, and refused commands with errors."""

HORIZON_SECONDS = 86_400
"""Expiries later than this after the start are counted together: no restore takes that long."""


@dataclass
class Tally:
    """Counts commands, repeated keys, and expiring keys per second; `started` is in seconds since 1970."""

    started: int
    count: int = 0
    again: int = 0
    _expiring: Counter[int] = field(default_factory=Counter)

    def add(self, batch: Batch, again: int) -> None:
        """Count a batch; `again` of its keys were loaded before."""
        self.count += batch.count
        self.again += again
        last = self.started + HORIZON_SECONDS
        self._expiring.update(min(max(int(at) // 1000, self.started - 1), last) for at in batch.expiries if at != b"0")

    def expired(self, now: int) -> int:
        """Return the number of keys that may be missing by `now`, in seconds since 1970."""
        return sum(count for second, count in self._expiring.items() if second <= now)

    def fits(self, keys: int, now: int) -> bool:
        """Return whether a number of keys is plausible: all loaded keys, less at most those that may be missing."""
        most = self.count - self.again
        return most - self.expired(now) <= keys <= most


class StagingDatabase:
    """The database `number`, into which a restore of the database `live` loads as long as its `mark` is set."""

    def __init__(self, lock: HeldLock, live: int, number: int, mark: str) -> None:
        self._lock, self._live, self._mark = lock, live, mark
        self.number = number
        pool = lock.client.connection_pool
        arguments = pool.connection_kwargs | {"db": number}
        self.client = redis.Redis(connection_pool=redis.ConnectionPool(pool.connection_class, **arguments))
        """A client of the staging database."""
        self.tally = Tally(started=lock.client.time()[0])
        """The loaded keys."""
        self.swapped = False
        """Whether it contains the previous live data."""
        self._raw = RawConnection(lock.client)
        self._fence = (
            *(packed("SELECT", live), packed("WATCH", FENCE), packed("MGET", FENCE, LOCK)),
            *(packed("SELECT", number), packed("WATCH", MARK), packed("GET", MARK)),
        )

    def load(self, batch: Batch, rest: Iterable[Batch] = ()) -> None:
        """Restore the keys of a batch, and count them.

        `rest` is the rest of a large value; it is read while it is sent, so it cannot be sent twice. Raises
        LockLostError, and redis.ResponseError if Redis refuses a key.
        """
        keys = set(batch.keys)

        def attempt() -> Any:  # noqa: ANN401 - what Redis replies
            self._raw.send(*self._fence, packed("MULTI"), packed("EXISTS", *keys), batch.commands)
            self._check(self._raw.receive(len(self._fence)))
            for piece in rest:
                self._raw.send(piece.commands)
            self._raw.receive(2 + batch.count)
            self._raw.send(packed("EXEC"))
            return self._raw.executed()[0]

        try:
            existing = retry_on_conflict(attempt, 1 if batch.more else ATTEMPTS)
        except redis.WatchError:
            raise LockLostError(
                f"another process took the lock or changed database {self.number}. Try: repeat the restore"
            ) from None
        self.tally.add(batch, batch.count - len(keys) + existing)

    def _check(self, replies: list[object]) -> None:
        """Raise LockLostError if this restore lost the lock or this database, before anything else is sent."""
        _, _, tokens, _, _, mark = replies
        if (tokens, mark) != ([self._lock.token] * 2, self._mark.encode()):
            self._lock.check(self._lock.client)
            raise LockLostError(f"the staging database {self.number} was flushed. Try: repeat the restore")

    def swap(self) -> tuple[int, int]:
        """Swap the staged and the live data, and keep the lock.

        Returns the number of live keys after and before. Raises RefusedError if the staged keys are not the loaded
        ones, and LockLostError; then nothing was swapped.
        """
        commands = (
            packed("SELECT", self._live),
            *(packed("COPY", key, key, "DB", self.number, "REPLACE") for key in (LOCK, FENCE)),
            packed("SELECT", self.number),
            packed("DEL", MARK),
            packed("SWAPDB", self._live, self.number),
            packed("SET", MARK, self._mark),  # in the previous live data
        )

        def attempt() -> int:
            self._raw.send(*self._fence, packed("DBSIZE"), packed("TIME"))
            *fence, keys, now = self._raw.receive(len(self._fence) + 2)
            self._check(fence)
            count = self._counted(keys, now)
            self._raw.send(packed("MULTI"), *commands, packed("EXEC"))
            self._raw.receive(1 + len(commands))
            self._raw.executed()
            return count

        count = retry_on_conflict(attempt)
        self.swapped = True
        return count, int(self.client.dbsize()) - 3  # the lock, its fence and the mark

    def _counted(self, keys: Any, now: Any) -> int:  # noqa: ANN401 - what Redis replies
        """Return the number of staged keys; raises RefusedError if they are not the loaded ones."""
        count, tally = int(keys) - 1, self.tally  # without the mark
        if not tally.fits(count, int(now[0])):
            loaded, gone = tally.count - tally.again, tally.expired(int(now[0]))
            raise RefusedError(
                f"database {self.number} has {count:,} keys, but {loaded:,} were loaded and at most {gone:,} of them "
                f"expired meanwhile; the data is unchanged. Try: keep other clients out of it, and repeat the restore"
            )
        return count

    def close(self) -> None:
        """Close the connections."""
        self._raw.close()
        self.client.connection_pool.disconnect()

    def left(self, why: str) -> str:
        """Return a warning about the data that remains in this database."""
        what = "the replaced data" if self.swapped else "the loaded data"
        remedy = f"redis-cli -n {self.number} FLUSHDB ASYNC, or restore again, which flushes it first"
        return f"database {self.number} still has {what}: it could not be flushed: {why}. Try: {remedy}"

    def flush(self) -> None:
        """Empty this database, unless it lost the mark of this restore."""
        with self.client.pipeline() as pipe:
            pipe.watch(MARK)  # type: ignore[no-untyped-call]
            if pipe.get(MARK) != self._mark.encode():
                return
            pipe.multi()
            pipe.flushdb(asynchronous=True)
            with contextlib.suppress(redis.WatchError):  # another process changed the mark
                pipe.execute()


@contextlib.contextmanager
def claim(lock: HeldLock, live: int, warn: Callable[[str], None]) -> Iterator[StagingDatabase]:
    """Yield the highest empty database, marked as staging, and empty it afterwards.

    Flushes databases that earlier restores of the same database left. Raises RefusedError if no database is free, or if
    it could not be swapped or flushed later. Warns if it cannot be emptied.
    """
    prefix = f"restore of database {live}, "
    mark = prefix + secrets.token_hex(8)
    used = {live, *_selected(lock.client)}

    def attempt() -> list[tuple[int, int, bytes, list[bytes]]]:
        with lock.transaction() as pipe:
            pipe.multi()
            pipe.eval(_CLAIM, 1, MARK, str(live), prefix, mark, *map(str, used))
            return pipe.execute()

    ((databases, number, why, refused),) = retry_on_conflict(attempt)
    if refused:
        words = [word.decode() for word in refused]
        raise RefusedError(forbidden(dict(zip(words[::2], words[1::2], strict=True)), user_of(lock.client)))
    if number < 0:
        raise RefusedError(_crowded(databases, why.decode()))
    staging = StagingDatabase(lock, live, number, mark)
    try:
        yield staging
    finally:
        try:
            staging.flush()
        except redis.RedisError as error:  # the next restore of this database finds it by its mark
            if code(error) or staging.swapped:
                warn(staging.left(reason(error)))
        staging.close()


def _selected(client: redis.Redis) -> set[int]:
    """Return the databases that a client is connected to: an empty one may be in use."""
    return {int(entry["db"]) for entry in client.client_list()}


def _crowded(databases: int, why: str) -> str:
    taken = f"each of the {databases} databases of this Redis has data or is in use, and a restore needs an empty one"
    if databases == 1:
        taken = "this Redis has one database only, and a restore needs a second one"
    if "range" not in why:  # not the last database, but one that the user may not select
        taken += f" (Redis refuses access to others: {why})"
    alternative = "or load the file over the present data: zcat FILE | redis-cli --pipe"
    return f"{taken}. Try: set `databases {databases + 1}` in its configuration, {alternative}"
