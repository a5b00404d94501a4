"""One lock in Redis for what changes data in bulk, and transactions that only its holder can make.

The lock is redis-py's (https://redis.readthedocs.io/en/stable/lock.html); its token is the owner in words, so that
whoever is kept waiting learns by whom. A thread renews it. That alone would not do: a process that was paused past its
lease does not know that it lost the lock. So there is a fence, a second key that changes hands with the lock and that
no renewal touches. Every write is a transaction that watches the fence and read both just before
(https://redis.io/docs/latest/develop/using-commands/transactions/): once the lock changes hands, EXEC does nothing.
"""

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

import redis
from redis.client import Pipeline
from redis.lock import Lock as RedisLock

from twelfth_redis.errors import LockLostError, RefusedError
from twelfth_redis.keys import FENCE, LOCK
from twelfth_redis.timestamp import now

LEASE_SECONDS = 10.0
"""How long the lock of a process that died stays."""
ATTEMPTS = 100
"""How often a transaction is tried while others change what it watches."""

T = TypeVar("T")

_RAISE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('SET', KEYS[2], ARGV[1]) end"
_LOWER = "if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end"


@dataclass(frozen=True)
class Owner:
    """Who holds the lock: a command of a run of a release, its operator, since when (ISO 8601, UTC)."""

    command: str
    run: str = ""
    release: str = ""
    operator: str = ""
    since: str = field(default_factory=now)

    def __str__(self) -> str:
        """Return the owner in words."""
        run = f" of run {self.run}" if self.run else ""
        operator = f" by {self.operator}" if self.operator else ""
        return f"{self.command}{run}{operator}, since {self.since}"


def owner(command: str, environment: Mapping[str, str]) -> Owner:
    """Return this process as an owner; what run it is stands in the environment (TWELFTH_RUN and so on)."""
    return Owner(command, *(environment.get(f"TWELFTH_{name}", "") for name in ("RUN", "RELEASE", "OPERATOR")))


@dataclass(frozen=True)
class HeldLock:
    """The lock, while this process has it; `token` is what its key must hold for that."""

    client: redis.Redis
    token: bytes

    @contextlib.contextmanager
    def transaction(self, *watched: str | bytes) -> Iterator[Pipeline]:
        """Give a pipeline that reads at once until `multi()` and writes as a whole at the end, if the lock is ours.

        Raises LockLostError where it is not, redis.WatchError where one of the `watched` keys changed, and
        redis.ConnectionError or redis.TimeoutError where nobody knows whether it was written.
        """
        with self.client.pipeline(transaction=True) as pipe:
            try:
                pipe.watch(FENCE, *watched)  # type: ignore[no-untyped-call]
                self.check(pipe)
                yield pipe
                pipe.execute()
            except redis.WatchError as error:
                raise_broken_connection(error)
                self.check(self.client)
                raise

    def check(self, client: redis.Redis) -> None:
        """Raise LockLostError where the lock is not ours."""
        fence, token = client.mget(FENCE, LOCK)
        if (fence, token) != (self.token, self.token):
            other = read_owner(token) if isinstance(token, bytes) and token != self.token else None
            now = f"{other} has it" if other else "its lease ran out"
            raise LockLostError(f"the lock was lost: {now}; what was to be written was not; repeat the command")


@contextlib.contextmanager
def hold_lock(
    client: redis.Redis, holder: Owner, *, wait: float = 0.0, lease: float = LEASE_SECONDS
) -> Iterator[HeldLock]:
    """Hold the lock inside the block, waiting for it up to `wait` seconds; raises RefusedError that names its holder.

    Where this process dies, the lock is free `lease` seconds later.
    """
    token = json.dumps(asdict(holder) | {"nonce": secrets.token_hex(8)}).encode()
    lock = RedisLock(client, LOCK, timeout=lease, sleep=0.05, thread_local=False)
    if not lock.acquire(blocking=wait > 0, blocking_timeout=wait, token=token.decode()):
        found = client.get(LOCK)
        other = read_owner(found) if isinstance(found, bytes) else "somebody a moment ago"
        raise RefusedError(f"the data is locked by {other}; let it finish, or wait for it: --wait SECONDS")
    held = HeldLock(client, token)
    try:
        if not client.eval(_RAISE, 2, LOCK, FENCE, token):  # from here on no transaction of an earlier holder is done
            held.check(client)
        with _renewed(lock, lease):
            yield held
    finally:
        with contextlib.suppress(redis.RedisError):  # not ours any more, or nobody to ask: it expires
            client.eval(_LOWER, 2, LOCK, FENCE, token)
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


def raise_broken_connection(error: redis.WatchError) -> None:
    """Raise what broke the connection, if that is it: redis-py takes it for a key that changed.

    What was sent last may have been done.
    """
    if isinstance(error.__context__, (redis.ConnectionError, redis.TimeoutError)):
        raise error.__context__ from error


def read_owner(token: bytes) -> Owner | str:
    """Return the owner that a token names; the beginning of one that these tools did not write."""
    try:
        fields = json.loads(token)
        fields.pop("nonce", None)
        return Owner(**fields)
    except (ValueError, TypeError, AttributeError):
        return repr(token[:40])


def retry_on_conflict(body: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """Return what the body does, repeated while what it watches changes; the last attempt raises redis.WatchError."""
    for number in range(attempts - 1):
        try:
            return body()
        except redis.WatchError:
            time.sleep(min(number / 1000, 0.05))
    return body()
