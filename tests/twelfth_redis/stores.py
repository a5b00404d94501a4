"""Shared by the tests of backup and restore: servers with options, data of all types, and the programs in-process."""

from __future__ import annotations

import contextlib
import io
import random
import re
import subprocess
from typing import TYPE_CHECKING, Any

import redis

from service.schema import MIGRATIONS
from tests.conftest import require_program
from tests.real_redis import RealRedis
from twelfth_redis import keys
from twelfth_redis.backup.format import TAIL, beginning
from twelfth_redis.backup.restore import Restored, Restorer
from twelfth_redis.backup.write import Written, backup
from twelfth_redis.lock import owner
from twelfth_redis.schema.migration import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCK, FENCE, MARK, HISTORY = (key.encode() for key in (keys.LOCK, keys.FENCE, keys.MARK, keys.HISTORY))

FAR = 4_102_444_800_123
"""An expiry, in ms: the year 2100."""


class Store(RealRedis):
    """A Valkey server with options of a test."""

    options = ("--enable-debug-command", "yes")

    def database(self, number: int) -> redis.Redis:
        """Return a client of one of its databases."""
        return redis.Redis(port=self.port, db=number)

    def url(self, number: int = 0) -> dict[str, str]:
        """Return what a process needs to find one of its databases."""
        return {"REDIS_URL": f"redis://127.0.0.1:{self.port}/{number}"}


DEBIAN = ("redis-server", "--bind", "127.0.0.1", "--port", "<port>", "--dir", "<data>", "--save", "")
"""How Debian's Redis 7.0 is started: an older server, and not Valkey."""


@contextlib.contextmanager
def serving(directory: Path, *options: str, command: tuple[str, ...] = ()) -> Iterator[Store]:
    """Yield a server: the product's Valkey, or that of a command."""
    if command:
        require_program(command[0])
    store = Store(directory, *options, command=command)
    try:
        yield store
    finally:
        store.client.close()
        store.kill()


def saved(client: redis.Redis, **environment: str) -> bytes:
    """Return a backup of the client's database."""
    return written(client, **environment)[1]


def written(client: redis.Redis, **environment: str) -> tuple[Written, bytes]:
    """Return the result of a backup, and the file."""
    stream = io.BytesIO()
    done = backup(client, stream, owner("backup", environment), lambda _: None)
    return done, stream.getvalue()


def restored(
    file: bytes, client: redis.Redis, progress: Callable[[int], None] = lambda _: None, warned: list[str] | None = None
) -> Restored:
    """Restore a backup."""
    warn = (warned if warned is not None else []).append
    return Restorer(client, owner("restore", {}), load(MIGRATIONS), progress, warn=warn).restore(io.BytesIO(file))


def typed(store: Store, message: str) -> None:
    """Type the command of redis-cli that a message suggests into a shell; raises CalledProcessError if it fails."""
    require_program("redis-cli")
    suggested = re.search(r"Try: (redis-cli .*?)(; or |, which |$)", message, re.MULTILINE)
    assert suggested, message
    there = f'redis-cli() {{ command redis-cli -e -p {store.port} "$@"; }}\n'
    subprocess.run(["/bin/bash", "-c", there + suggested[1]], check=True, capture_output=True, timeout=10)


def entry(key: bytes, expires: int, payload: bytes) -> bytes:
    """Return the command that restores a key; `expires` in ms since 1970, 0 for never."""
    return beginning(key, expires, len(payload)) + payload + TAIL


def contents(client: redis.Redis) -> dict[bytes, tuple[Any, Any]]:
    """Return payload and expiry of each key."""
    return {key: (client.dump(key), client.pexpiretime(key)) for key in client.scan_iter(count=1000)}


def digest(client: redis.Redis) -> bytes:
    """Return a digest of all databases, each key and its expiry included."""
    found = client.execute_command("DEBUG", "DIGEST")  # type: ignore[no-untyped-call]
    assert isinstance(found, bytes)
    return found


def fill(client: redis.Redis, seed: int = 12) -> None:
    """Add a few keys of every type, with binary names and contents, some with an expiry."""
    chance = random.Random(seed)  # noqa: S311 - repeatable is what it has to be
    for number, name in enumerate((b"", b"\r\n$3\r\n*", bytes(range(256)), b"plain")):
        noise = chance.randbytes(200)
        client.set(b"string" + name, noise, pxat=FAR + number)
        client.set(b"number" + name, number)
        client.rpush(b"list" + name, *[noise[i : i + 9] for i in range(0, 200, 9)])
        client.sadd(b"set" + name, *range(number, 600, 7), noise)
        client.zadd(b"zset" + name, {noise[i : i + 5]: i / 3 for i in range(0, 200, 5)})
        client.hset(b"hash" + name, mapping={noise[i : i + 5]: noise[i:] for i in range(0, 200, 5)})
        client.xadd(b"stream" + name, {b"field": noise}, id=f"{number + 1}-1")
        client.xgroup_create(b"stream" + name, "group", id="0")
        client.xreadgroup("group", "reader", {b"stream" + name: ">"}, count=1)
    client.set(b"hits", 42)
