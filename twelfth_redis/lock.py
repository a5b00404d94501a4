"""One lock in Redis for bulk changes of data, and transactions that only its holder can make.

The lock is redis-py's (https://redis.readthedocs.io/en/stable/lock.html). Its token describes the owner, so that a
waiting process can name it. A thread renews the lock. That is not enough: a process that was paused past its lease does
not know that it lost the lock. So there is a fence: a second key that changes when the lock gets a new holder and that
renewals leave alone. Every write is a transaction that watches the fence and reads both keys first
(https://redis.io/docs/latest/develop/using-commands/transactions/): if the holder has changed, EXEC does nothing.
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
"""How long the lock stays after its process was killed."""
ATTEMPTS = 100
"""Number of attempts of a transaction while other clients change the keys that it watches."""

T = TypeVar("T")

_RAISE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('SET', KEYS[2], ARGV[1]) end"
_LOWER = "if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end"


@dataclass(frozen=True)
class Owner:
    """The holder of the lock: command, run, release, operator, and since when (ISO 8601, UTC)."""

    command: str
    run: str = ""
    release: str = ""
    operator: str = ""
    since: str = field(default_factory=now)

    def __str__(self) -> str:
        """Return the owner as a phrase, such as "migrate of run a1b2 by ann, since …"."""
        run = f" of run {self.run}" if self.run else ""
        operator = f" by {self.operator}" if self.operator else ""
        return f"{self.command}{run}{operator}, since {self.since}"


def owner(command: str, environment: Mapping[str, str]) -> Owner:
    """Return this process as an owner; run, release and operator come from TWELFTH_RUN and so on."""
    return Owner(command, *(environment.get(f"TWELFTH_{name}", "") for name in ("RUN", "RELEASE", "OPERATOR")))


@dataclass(frozen=True)
class HeldLock:
    """The lock while this process has it: as long as the value of its key is `token`."""

    client: redis.Redis
    token: bytes

    @contextlib.contextmanager
    def transaction(self, *watched: str | bytes) -> Iterator[Pipeline]:
        """Yield a pipeline that reads immediately until `multi()`; the block's end executes its writes atomically.

        Raises LockLostError if this process lost the lock, redis.WatchError if one of the `watched` keys changed, and
        redis.ConnectionError or redis.TimeoutError if it is unknown whether the writes were executed.
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
        """Raise LockLostError if this process lost the lock."""
        fence, token = client.mget(FENCE, LOCK)
        if (fence, token) != (self.token, self.token):
            holder = read_owner(token) if isinstance(token, bytes) and token != self.token else None
            why = f"{holder} has it" if holder else "its lease expired"
            raise LockLostError(f"the lock was lost: {why}; the last change was not written. Try: repeat the command")


@contextlib.contextmanager
def hold_lock(
    client: redis.Redis, holder: Owner, *, wait: float = 0.0, lease: float = LEASE_SECONDS
) -> Iterator[HeldLock]:
    """Hold the lock inside the block.

    Waits up to `wait` seconds for it, then raises RefusedError that names the present holder. If this process is
    killed, the lock expires `lease` seconds later.
    """
    token = json.dumps(asdict(holder) | {"nonce": secrets.token_hex(8)}).encode()
    lock = RedisLock(client, LOCK, timeout=lease, sleep=0.05, thread_local=False)
    if not lock.acquire(blocking=wait > 0, blocking_timeout=wait, token=token.decode()):
        value = client.get(LOCK)
        present = read_owner(value) if isinstance(value, bytes) else "another process, which has just finished"
        raise RefusedError(f"the data is locked by {present}. Try: repeat it with --wait SECONDS")
    held_lock = HeldLock(client, token)
    try:
        # From here on, EXEC refuses the transactions of earlier holders.
        if not client.eval(_RAISE, 2, LOCK, FENCE, token):
            held_lock.check(client)
        with _renewed(lock, lease):
            yield held_lock
    finally:
        with contextlib.suppress(redis.RedisError):  # lost, or Redis is unavailable: it expires
            client.eval(_LOWER, 2, LOCK, FENCE, token)
            lock.release()


@contextlib.contextmanager
def _renewed(lock: RedisLock, lease: float) -> Iterator[None]:
    """Renew the lock from a thread, three times per lease."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease / 3):
            with contextlib.suppress(redis.RedisError):  # the next transaction notices
                lock.reacquire()

    thread = threading.Thread(target=renew, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def raise_broken_connection(error: redis.WatchError) -> None:
    """Raise the error of a broken connection, which redis-py reports as a changed key.

    The last transaction may have been executed.
    """
    if isinstance(error.__context__, (redis.ConnectionError, redis.TimeoutError)):
        raise error.__context__ from error


def read_owner(token: bytes) -> Owner | str:
    """Return the owner that a token describes; of a token that twelfth_redis did not write, its first 40 bytes."""
    try:
        fields = json.loads(token)
        fields.pop("nonce", None)
        return Owner(**fields)
    except (ValueError, TypeError, AttributeError):
        return repr(token[:40])


def retry_on_conflict(body: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """Call `body` again while the keys that it watches change; the last attempt raises redis.WatchError."""
    for number in range(attempts - 1):
        try:
            return body()
        except redis.WatchError:
            time.sleep(min(number / 1000, 0.05))
    return body()
