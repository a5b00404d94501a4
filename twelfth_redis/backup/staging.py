"""A database that was empty, where a restore loads what it does not trust yet, and from where it swaps that in.

It is marked by a key that names the live database and this restore: so one left over by a restore that was killed is
recognised by the next one of the same database, which holds the lock and so knows that the other is gone. Whatever is
written is fenced: loading and swapping by the lock, flushing by the mark.
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
local found = -1
for number = databases - 1, 0, -1 do
  redis.call('SELECT', number)
  local mark = redis.pcall('GET', KEYS[1])
  if number ~= live and type(mark) == 'string' and string.sub(mark, 1, #prefix) == prefix then
    allowed('FLUSHDB', 'ASYNC')
  end
  if not used[number] and found < 0 and redis.call('DBSIZE') == 0 then found = number end
end
if found >= 0 then
  redis.call('SELECT', found)
  -- Nothing is here, so that nothing is lost by trying what the end of a restore needs.
  local swapped, flushed = allowed('SWAPDB', found, found), allowed('FLUSHDB', 'ASYNC')
  if swapped and flushed then redis.call('SET', KEYS[1], mine) end
end
return {databases, found, reply.err, refused}
"""
"""Returns the number of databases, the claimed one or -1, why there are no more, and refused commands with reasons."""

HORIZON_SECONDS = 86_400
"""Keys that expire later than that after the start are not counted by the second: no restore takes so long."""


@dataclass
class Tally:
    """Commands so far, keys that came again, and how many expire in which second; `started` in seconds since 1970."""

    started: int
    count: int = 0
    again: int = 0
    _expiring: Counter[int] = field(default_factory=Counter)

    def add(self, batch: Batch, again: int) -> None:
        """Count a batch, of whose keys `again` were there already."""
        self.count += batch.count
        self.again += again
        last = self.started + HORIZON_SECONDS
        self._expiring.update(min(max(int(at) // 1000, self.started - 1), last) for at in batch.expiries if at != b"0")

    def expired(self, now: int) -> int:
        """Return how many keys may be gone by `now`, in seconds since 1970."""
        return sum(count for second, count in self._expiring.items() if second <= now)

    def fits(self, found: int, now: int) -> bool:
        """Return whether so many keys are what must be there: all but those that came again, or may be gone."""
        most = self.count - self.again
        return most - self.expired(now) <= found <= most


class StagingDatabase:
    """The database `number`, that a restore of the database `live` loads into while its `mark` is there."""

    def __init__(self, lock: HeldLock, live: int, number: int, mark: str) -> None:
        self._lock, self._live, self._mark = lock, live, mark
        self.number = number
        pool = lock.client.connection_pool
        arguments = pool.connection_kwargs | {"db": number}
        self.client = redis.Redis(connection_pool=redis.ConnectionPool(pool.connection_class, **arguments))
        """A client of the staging database."""
        self.tally = Tally(started=lock.client.time()[0])
        """What was loaded."""
        self.swapped = False
        """Whether it contains the data that was live before."""
        self._raw = RawConnection(lock.client)
        self._fence = (
            *(packed("SELECT", live), packed("WATCH", FENCE), packed("MGET", FENCE, LOCK)),
            *(packed("SELECT", number), packed("WATCH", MARK), packed("GET", MARK)),
        )

    def load(self, batch: Batch, rest: Iterable[Batch] = ()) -> None:
        """Bring back the keys of a batch, and count them.

        The `rest` of a value that is large comes while it is sent, hence once only. Raises LockLostError, and
        redis.ResponseError where Redis refuses a key.
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
            there = retry_on_conflict(attempt, 1 if batch.more else ATTEMPTS)
        except redis.WatchError:
            raise LockLostError(
                f"the lock or database {self.number} changed hands meanwhile; repeat the restore"
            ) from None
        self.tally.add(batch, batch.count - len(keys) + there)

    def _check(self, replies: list[object]) -> None:
        """Raise LockLostError where the lock or this database is not ours: what follows is not sent then."""
        _, _, tokens, _, _, mark = replies
        if (tokens, mark) != ([self._lock.token] * 2, self._mark.encode()):
            self._lock.check(self._lock.client)
            raise LockLostError(f"database {self.number}, where the backup was loaded, was flushed; repeat the restore")

    def swap(self) -> tuple[int, int]:
        """Make what was loaded live at once, and stage what was live; the lock goes along.

        Returns how many keys are live now, and how many were. Raises RefusedError where other keys are there than were
        loaded, and LockLostError; then nothing was swapped.
        """
        commands = (
            packed("SELECT", self._live),
            *(packed("COPY", key, key, "DB", self.number, "REPLACE") for key in (LOCK, FENCE)),
            packed("SELECT", self.number),
            packed("DEL", MARK),
            packed("SWAPDB", self._live, self.number),
            packed("SET", MARK, self._mark),  # in what was live until now
        )

        def attempt() -> int:
            self._raw.send(*self._fence, packed("DBSIZE"), packed("TIME"))
            *fence, found, now = self._raw.receive(len(self._fence) + 2)
            self._check(fence)
            count = self._counted(found, now)
            self._raw.send(packed("MULTI"), *commands, packed("EXEC"))
            self._raw.receive(1 + len(commands))
            self._raw.executed()
            return count

        count = retry_on_conflict(attempt)
        self.swapped = True
        return count, int(self.client.dbsize()) - 3  # the lock, its fence and the mark

    def _counted(self, found: Any, now: Any) -> int:  # noqa: ANN401 - what Redis replies
        """Return how many keys are staged; raises RefusedError where they are not those loaded, less those expired."""
        count, tally = int(found) - 1, self.tally  # the mark is none
        if not tally.fits(count, int(now[0])):
            loaded, gone = tally.count - tally.again, tally.expired(int(now[0]))
            raise RefusedError(
                f"database {self.number} has {count:,} keys, but {loaded:,} were loaded and at most {gone:,} of them "
                f"expired meanwhile; the data is as it was. Try: keep other clients out of it, and restore again"
            )
        return count

    def close(self) -> None:
        """Let go of the connections."""
        self._raw.close()
        self.client.connection_pool.disconnect()

    def left(self, why: str) -> str:
        """Return a warning about the data that this database still has."""
        what = "the data that was replaced" if self.swapped else "what was loaded"
        again = f"redis-cli -n {self.number} FLUSHDB ASYNC, or restore again, which flushes it first"
        return f"database {self.number} still has {what}: it could not be flushed: {why}. Try: {again}"

    def flush(self) -> None:
        """Empty this database if it is ours; else it is not touched."""
        with self.client.pipeline() as pipe:
            pipe.watch(MARK)  # type: ignore[no-untyped-call]
            if pipe.get(MARK) != self._mark.encode():
                return
            pipe.multi()
            pipe.flushdb(asynchronous=True)
            with contextlib.suppress(redis.WatchError):  # it became somebody else's
                pipe.execute()


@contextlib.contextmanager
def claim(lock: HeldLock, live: int, warn: Callable[[str], None]) -> Iterator[StagingDatabase]:
    """Yield the highest empty database, marked as staging, and empty it afterwards.

    Flushes what earlier restores of the same database left. Raises RefusedError if no database is free, or if it could
    not be swapped or flushed later. Warns if it cannot be emptied.
    """
    prefix = f"restore of database {live}, "
    mark = prefix + secrets.token_hex(8)
    used = {live, *_selected(lock.client)}

    def attempt() -> list[tuple[int, int, bytes, list[bytes]]]:
        with lock.transaction() as pipe:
            pipe.multi()
            pipe.eval(_CLAIM, 1, MARK, str(live), prefix, mark, *map(str, used))
            return pipe.execute()

    ((databases, found, why, refused),) = retry_on_conflict(attempt)
    if refused:
        words = [word.decode() for word in refused]
        raise RefusedError(forbidden(dict(zip(words[::2], words[1::2], strict=True)), user_of(lock.client)))
    if found < 0:
        raise RefusedError(_crowded(databases, why.decode()))
    staging = StagingDatabase(lock, live, found, mark)
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
    return {int(other["db"]) for other in client.client_list()}


def _crowded(databases: int, why: str) -> str:
    taken = f"each of the {databases} databases of this Redis has data or is in use, and a restore needs an empty one"
    if databases == 1:
        taken = "this Redis has one database only, and a restore needs a second one"
    if "range" not in why:  # not the last database, but one that the user may not select
        taken += f" (Redis refuses access to others: {why})"
    over = "or load the file over what is there: zcat FILE | redis-cli --pipe"
    return f"{taken}. Try: set `databases {databases + 1}` in its configuration, {over}"
