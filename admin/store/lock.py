"""One lock in Redis for what changes data in bulk, and transactions that only its holder can make.

The lock is redis-py's (https://redis.readthedocs.io/en/stable/lock.html); its token is the owner in words, so that
whoever is kept waiting can be told by whom. A thread renews it. That alone would not do: a process that was paused
past its lease does not know that it lost the lock. So every write is a transaction that watches the lock's key and
read itself there just before (https://redis.io/docs/latest/develop/using-commands/transactions/): once the key
changes hands or expires, EXEC does nothing.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import redis
from redis.lock import Lock as RedisLock

from admin.store.face import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from redis.client import Pipeline

KEY = "twelfth:lock"
LEASE_SECONDS = 10.0
"""How long the lock of a process that died stays."""


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


class Turns:
    """A lock that whoever waits gets next: Python's own may go to who had it before, again and again."""

    def __init__(self) -> None:
        self._next, self._now = threading.Lock(), threading.Lock()

    @contextlib.contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn, and have it for a while; not from within one."""
        with self._next:
            self._now.acquire()
        try:
            yield
        finally:
            self._now.release()


class Held:
    """The lock, while this process has it."""

    def __init__(self, client: redis.Redis, ours: Owner, token: bytes) -> None:
        """Take the client, who we are, and what the key must hold for the lock to be ours."""
        self.client, self.owner, self.token = client, ours, token
        self.turns = Turns()
        """Transactions and renewals: a renewal touches the key that a transaction watches."""

    @contextlib.contextmanager
    def transaction(self, *watched: str | bytes) -> Iterator[Pipeline]:
        """Give a pipeline that reads at once until `multi()` and writes as a whole at the end, if the lock is ours.

        Raises LostError where it is not, redis.WatchError where one of the `watched` keys changed, and
        redis.ConnectionError or redis.TimeoutError where nobody knows whether it was written.
        """
        with self.turns.take(), self.client.pipeline(transaction=True) as pipe:
            try:
                pipe.watch(KEY, *watched)  # type: ignore[no-untyped-call]
                self.check(pipe)
                yield pipe
                pipe.execute()
            except redis.WatchError as error:
                # redis-py takes a connection that broke for a key that changed, but its EXEC may have been done.
                if isinstance(error.__context__, (redis.ConnectionError, redis.TimeoutError)):
                    raise error.__context__ from error
                self.check(self.client)
                raise

    def check(self, client: redis.Redis) -> None:
        """Raise LostError where the lock is not ours."""
        if (found := client.get(KEY)) != self.token:
            now = f"{read(found)} has it" if isinstance(found, bytes) else "its lease ran out"
            raise LostError(f"the lock was lost: {now}; what was to be written was not; repeat the command")


@contextlib.contextmanager
def held(client: redis.Redis, ours: Owner, *, wait: float = 0.0, lease: float = LEASE_SECONDS) -> Iterator[Held]:
    """Hold the lock for a while, waiting for it up to `wait` seconds; raises RefusedError that names its holder."""
    token = json.dumps(asdict(ours) | {"nonce": secrets.token_hex(8)}).encode()
    lock = RedisLock(client, KEY, timeout=lease, sleep=0.05, thread_local=False)
    if not lock.acquire(blocking=wait > 0, blocking_timeout=wait, token=token.decode()):
        found = client.get(KEY)
        holder = read(found) if isinstance(found, bytes) else "somebody a moment ago"
        raise RefusedError(f"the data is locked by {holder}; let it finish, or wait for it: --wait SECONDS")
    mine = Held(client, ours, token)
    with _renewed(lock, lease, mine.turns):
        try:
            yield mine
        finally:
            with contextlib.suppress(redis.RedisError):  # not ours any more, or nobody to ask: it expires
                lock.release()


@contextlib.contextmanager
def _renewed(lock: RedisLock, lease: float, turns: Turns) -> Iterator[None]:
    """Renew the lock from a thread, three times a lease, and never amid a transaction."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease / 3):
            with turns.take(), contextlib.suppress(redis.RedisError):  # the next transaction finds out
                lock.reacquire()

    thread = threading.Thread(target=renew, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def read(token: bytes) -> Owner | str:
    """Return the owner that a token tells of; one that is not of ours is told as it is."""
    try:
        told = json.loads(token)
        told.pop("nonce", None)
        return Owner(**told)
    except (ValueError, TypeError, AttributeError):
        return repr(token[:40])


def retried(body: Callable[[], None], times: int = 100) -> None:
    """Do the body again while what it watched changes under it; the last time lets redis.WatchError through."""
    for _ in range(times - 1):
        try:
            return body()
        except redis.WatchError:
            continue
    return body()
