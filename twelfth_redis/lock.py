"""One lock in Redis for what changes data in bulk, and transactions that only its holder can make.

The lock is redis-py's (https://redis.readthedocs.io/en/stable/lock.html); its token is the owner in words, so that
whoever is kept waiting can be told by whom. A thread renews it. That alone would not do: a process that was paused
past its lease does not know that it lost the lock. So there is a fence beside it, a key that changes hands with the
lock and that no renewal touches. Every write is a transaction that watches the fence and read both just before
(https://redis.io/docs/latest/develop/using-commands/transactions/): once the lock changes hands, EXEC does nothing.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import redis
from redis.lock import Lock as RedisLock

from twelfth_redis.errors import RefusedError
from twelfth_redis.keys import FENCE, LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from redis.client import Pipeline

LEASE_SECONDS = 10.0
"""How long the lock of a process that died stays."""


_RAISE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('SET', KEYS[2], ARGV[1]) end"
_LOWER = "if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end"


class LostError(RefusedError):
    """The lock is no longer ours: nothing of what was to be written is."""


@dataclass(frozen=True)
class Owner:
    """Who holds the lock: a run (as the engine told it), its operator, since when (ISO 8601, UTC)."""

    command: str
    run: str = ""
    release: str = ""
    operator: str = ""
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        """Return the owner in words."""
        run = f" of run {self.run}" if self.run else ""
        operator = f" by {self.operator}" if self.operator else ""
        return f"{self.command}{run}{operator}, since {self.since}"


def owner(command: str, environment: Mapping[str, str]) -> Owner:
    """Return this process as an owner; the engine tells a run what it is."""
    told = [environment.get(f"TWELFTH_{name}", "") for name in ("RUN", "RELEASE", "OPERATOR")]
    return Owner(command, *told)


class Held:
    """The lock, while this process has it."""

    def __init__(self, client: redis.Redis, ours: Owner, token: bytes) -> None:
        """Take the client, who we are, and what the key must hold for the lock to be ours."""
        self.client, self.owner, self.token = client, ours, token

    def raise_fence(self) -> None:
        """Make the fence ours; from now on no transaction of an earlier holder is done. Raises LostError."""
        if not self.client.eval(_RAISE, 2, LOCK, FENCE, self.token):
            self.check(self.client)

    def lower_fence(self) -> None:
        """Remove the fence if it is ours."""
        self.client.eval(_LOWER, 2, LOCK, FENCE, self.token)

    @contextlib.contextmanager
    def transaction(self, *watched: str | bytes) -> Iterator[Pipeline]:
        """Give a pipeline that reads at once until `multi()` and writes as a whole at the end, if the lock is ours.

        Raises LostError where it is not, redis.WatchError where one of the `watched` keys changed, and
        redis.ConnectionError or redis.TimeoutError where nobody knows whether it was written.
        """
        with self.client.pipeline(transaction=True) as pipe:
            try:
                pipe.watch(FENCE, *watched)  # type: ignore[no-untyped-call]
                self.check(pipe)
                yield pipe
                pipe.execute()
            except redis.WatchError as error:
                raise_broken(error)
                self.check(self.client)
                raise

    def check(self, client: redis.Redis) -> None:
        """Raise LostError where the lock is not ours."""
        fence, found = client.mget(FENCE, LOCK)
        if (fence, found) != (self.token, self.token):
            now = f"{read(found)} has it" if isinstance(found, bytes) and found != self.token else "its lease ran out"
            raise LostError(f"the lock was lost: {now}; what was to be written was not; repeat the command")


@contextlib.contextmanager
def held(client: redis.Redis, ours: Owner, *, wait: float = 0.0, lease: float = LEASE_SECONDS) -> Iterator[Held]:
    """Hold the lock for a while, waiting for it up to `wait` seconds; raises RefusedError that names its holder."""
    token = json.dumps(asdict(ours) | {"nonce": secrets.token_hex(8)}).encode()
    lock = RedisLock(client, LOCK, timeout=lease, sleep=0.05, thread_local=False)
    if not lock.acquire(blocking=wait > 0, blocking_timeout=wait, token=token.decode()):
        found = client.get(LOCK)
        holder = read(found) if isinstance(found, bytes) else "somebody a moment ago"
        raise RefusedError(f"the data is locked by {holder}; let it finish, or wait for it: --wait SECONDS")
    mine = Held(client, ours, token)
    try:
        mine.raise_fence()
        with _renewed(lock, lease):
            yield mine
    finally:
        with contextlib.suppress(redis.RedisError):  # not ours any more, or nobody to ask: it expires
            mine.lower_fence()
            lock.release()


@contextlib.contextmanager
def _renewed(lock: RedisLock, lease: float) -> Iterator[None]:
    """Renew the lock from a thread, three times a lease."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease / 3):
            with contextlib.suppress(redis.RedisError):  # the next transaction finds out
                lock.reacquire()

    thread = threading.Thread(target=renew, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def raise_broken(error: redis.WatchError) -> None:
    """Raise what broke the connection, if that is it: redis-py takes it for a key that changed.

    What was sent last may have been done.
    """
    if isinstance(error.__context__, (redis.ConnectionError, redis.TimeoutError)):
        raise error.__context__ from error


def read(token: bytes) -> Owner | str:
    """Return the owner that a token tells of; one that is not of ours is told as it is."""
    try:
        told = json.loads(token)
        told.pop("nonce", None)
        return Owner(**told)
    except (ValueError, TypeError, AttributeError):
        return repr(token[:40])


TIMES = 100
"""How often a transaction is tried while others change what it watches."""


def retried(body: Callable[[], None], times: int = TIMES, pause: Callable[[float], None] = time.sleep) -> None:
    """Do the body again while what it watched changes under it; the last time lets redis.WatchError through."""
    for number in range(times - 1):
        try:
            return body()
        except redis.WatchError:
            pause(min(number / 1000, 0.05))
    return body()
