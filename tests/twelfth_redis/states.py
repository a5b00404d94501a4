"""States in which a server refuses commands for a while, each produced on a real server and ended again."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.real_redis import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.twelfth_redis.stores import Store

    State = Callable[[Store], contextlib.AbstractContextManager[object]]

NOWHERE = ("127.0.0.1", 1)
"""An address where no primary listens."""


@contextlib.contextmanager
def misconf(store: Store) -> Iterator[None]:
    """Make the server fail to save: a directory has the name of its file."""
    (store.directory / "dump.rdb").unlink(missing_ok=True)
    (store.directory / "dump.rdb").mkdir()
    with configured(store, save="3600 1000000"):
        store.client.bgsave()
        eventually(lambda: store.client.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield
    (store.directory / "dump.rdb").rmdir()


@contextlib.contextmanager
def busy(store: Store) -> Iterator[None]:
    """Make the server run an endless script."""
    with configured(store, busy_reply_threshold=1), background(store, "EVAL", "while true do end", 0):
        eventually(lambda: refused(store, "BUSY"))
        yield
        store.client.script_kill()


@contextlib.contextmanager
def loading(store: Store) -> Iterator[None]:
    """Make the server load its data slowly."""
    store.client.eval("for i = 1, 3000 do redis.call('SET', 'loading' .. i, i) end", 0)
    slow = {"key_load_delay": 2000, "loading_process_events_interval_bytes": 1024}
    with configured(store, **slow), background(store, "DEBUG", "RELOAD"):
        eventually(lambda: refused(store, "LOADING"))
        yield
        store.client.config_set("key-load-delay", 0)
    store.client.eval("for i = 1, 3000 do redis.call('DEL', 'loading' .. i) end", 0)


@contextlib.contextmanager
def readonly(store: Store) -> Iterator[None]:
    """Make the server a replica."""
    store.client.replicaof(*NOWHERE)
    try:
        yield
    finally:
        store.client.replicaof("NO", "ONE")


@contextlib.contextmanager
def masterdown(store: Store) -> Iterator[None]:
    """Make the server a replica that answers nothing without its primary."""
    with configured(store, replica_serve_stale_data="no"), readonly(store):
        yield


@contextlib.contextmanager
def oom(store: Store) -> Iterator[None]:
    """Fill the server's memory."""
    with configured(store, maxmemory=1):
        yield


@contextlib.contextmanager
def noreplicas(store: Store) -> Iterator[None]:
    """Make the server require replicas that are missing."""
    with configured(store, min_replicas_to_write=1):
        yield


@contextlib.contextmanager
def crowded(store: Store) -> Iterator[None]:
    """Leave no room for another client."""
    with configured(store, maxclients=1):
        yield


def configured(store: Store, **options: str | int) -> contextlib.AbstractContextManager[object]:
    """Set options of the server inside the block."""
    named = {name.replace("_", "-"): value for name, value in options.items()}
    before = {name: store.client.config_get(name)[name] or "" for name in named}
    ended = contextlib.ExitStack()
    for name, value in named.items():
        store.client.config_set(name, value)
        ended.callback(store.client.config_set, name, before[name])
    return ended


@contextlib.contextmanager
def background(store: Store, *command: str | int) -> Iterator[None]:
    """Run a command at least as long as the block."""

    def run() -> None:
        with asking_once(store) as client, contextlib.suppress(redis.RedisError):
            client.execute_command(*command)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()


def asking_once(store: Store) -> redis.Redis:
    """Return a client that repeats no command: redis-py's own does so for seconds."""
    return redis.Redis(port=store.port, retry=Retry(NoBackoff(), 0))


def refused(store: Store, code: str) -> bool:
    """Return whether the server refuses PING with this code."""
    with asking_once(store) as client:
        try:
            return not client.ping()
        except redis.RedisError as error:
            return code in f"{error.status_code} {error}"


STATES: dict[str, State] = {
    "MISCONF": misconf,
    "OOM": oom,
    "READONLY": readonly,
    "NOREPLICAS": noreplicas,
    "LOADING": loading,
    "BUSY": busy,
    "MASTERDOWN": masterdown,
    "max number of clients": crowded,
}
READABLE = ("MISCONF", "OOM", "READONLY", "NOREPLICAS")
"""States in which a client can read."""
SILENT = tuple(code for code in STATES if code not in READABLE)
"""States in which nearly every command is refused."""
