"""One address that leads to another server after a failover, and servers that cannot count hits at the moment."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.app import ready
from service.counter import BUSY_SECONDS, HIGHEST, Counter, NoIntegerError, open_counter
from tests.faults import Proxy
from tests.real_redis import RealRedis, ScriptedRedis, eventually
from twelfth_redis.errors import UnavailableError
from twelfth_redis.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.service.conftest import Process

PACE_SECONDS = 0.05
"""Between two hits: short enough that the connection is still trusted."""


def counter_at(port: int, **settings: str) -> Counter:
    """Return a counter on a server of this machine."""
    return open_counter(Settings(host="127.0.0.1", port=port, **settings))  # type: ignore[arg-type]


@pytest.fixture
def other_redis(tmp_path: Path) -> Iterator[RealRedis]:
    """Give a second server."""
    (tmp_path / "other").mkdir()
    server = RealRedis(tmp_path / "other")
    yield server
    server.kill()


@pytest.mark.parametrize(
    "refusal",
    [
        "READONLY You can't write against a read only replica.",
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "MOVED 1 127.0.0.1:1",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        "NOREPLICAS Not enough good replicas to write.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOPERM this user has no permissions to run the 'incrby' command",
        "BUSY Redis is busy running a script.",
        "ERR something that no one has heard of",
    ],
)
def test_connection_whose_server_takes_no_hits_is_dropped(refusal: str) -> None:
    """The next hit uses the server that the address leads to by then; none is sent twice."""
    with ScriptedRedis() as scripted:
        scripted.refusal = refusal
        counter = counter_at(scripted.port)
        with pytest.raises(UnavailableError):
            counter.hit()
        scripted.refusal = ""

        assert 1 == counter.hit()


@pytest.mark.parametrize("held", ["text", "", str(HIGHEST)])
def test_connection_is_kept_if_only_the_value_is_wrong(real_redis: RealRedis, held: str) -> None:
    """Another server would have the same value: a hit costs no new connection."""
    real_redis.client.set("hits", held)
    counter = counter_at(real_redis.port)
    with pytest.raises(NoIntegerError):
        counter.hit()
    before = real_redis.client.info("stats")["total_connections_received"]
    for _ in range(5):
        with pytest.raises(NoIntegerError):
            counter.hit()

    assert before == real_redis.client.info("stats")["total_connections_received"]


def test_busy_worker_follows_a_failover_behind_one_address(
    serve: Callable[..., Process], real_redis: RealRedis, other_redis: RealRedis
) -> None:
    """The replica is promoted, the address leads to it, and the former primary becomes its replica."""
    other_redis.client.replicaof("127.0.0.1", str(real_redis.port))
    eventually(lambda: other_redis.client.info("replication")["master_link_status"] == "up", 20)
    with Proxy(real_redis.port, lambda _: None) as address:
        process = serve(address.environment)
        before = process.ask()
        eventually(lambda: other_redis.client.get("hits") == b"1")
        other_redis.client.replicaof("NO", "ONE")
        address.upstream = other_redis.port
        real_redis.client.replicaof("127.0.0.1", str(other_redis.port))
        statuses = []
        for _ in range(6):
            statuses.append(process.ask().status)
            time.sleep(PACE_SECONDS)

    assert "Hello World! 1 times." == before.body
    assert [200] * 4 == statuses[2:], statuses
    assert b"%d" % (1 + statuses.count(200)) == other_redis.client.get("hits")


def full(server: RealRedis) -> None:
    """Have no memory left."""
    server.client.config_set("maxmemory", "1")


def demoted(server: RealRedis) -> None:
    """Be a replica."""
    server.client.replicaof("127.0.0.1", "1")


def stale(server: RealRedis) -> None:
    """Be a replica that answers nothing without its primary."""
    server.client.config_set("replica-serve-stale-data", "no")
    server.client.replicaof("127.0.0.1", "1")


def alone(server: RealRedis) -> None:
    """Want replicas that do not exist."""
    server.client.config_set("min-replicas-to-write", 1)


def restricted(server: RealRedis) -> None:
    """Allow everything but hits."""
    server.client.acl_setuser("default", enabled=True, nopass=True, commands=["+@all", "-incrby"], keys=["*"])


def unqueued(server: RealRedis) -> None:
    """Allow hits, and no transactions."""
    server.client.acl_setuser("default", enabled=True, nopass=True, commands=["+@all", "-multi"], keys=["*"])


def undiscarded(server: RealRedis) -> None:
    """Allow transactions that can only be executed."""
    server.client.acl_setuser("default", enabled=True, nopass=True, commands=["+@all", "-discard"], keys=["*"])


def unsaved(server: RealRedis) -> None:
    """Have failed to write a snapshot."""
    Path(str(server.client.config_get("dir")["dir"]), "dump.rdb").mkdir()
    server.client.config_set("save", "3600 1000000")
    server.client.config_set("appendonly", "no")
    server.client.bgsave()
    eventually(lambda: server.client.info("persistence")["rdb_last_bgsave_status"] == "err")


def a_list(server: RealRedis) -> None:
    """Hold something else."""
    server.client.delete("hits")
    server.client.rpush("hits", 1)


def text(server: RealRedis) -> None:
    """Hold no number."""
    server.client.set("hits", "many")


def last(server: RealRedis) -> None:
    """Hold the last number."""
    server.client.set("hits", HIGHEST)


CANNOT_COUNT: dict[Callable[[RealRedis], None], str] = {
    full: "OOM command not allowed",
    demoted: "READONLY You can't write against a read only replica",
    stale: "READONLY You can't write against a read only replica",
    alone: "NOREPLICAS Not enough good replicas",
    restricted: "NOPERM",
    unqueued: "NOPERM",
    undiscarded: "NOPERM",
    unsaved: "MISCONF",
    a_list: "the key hits holds no integer",
    text: "the key hits holds no integer",
    last: "the key hits is at the end of 64 bits",
}


@pytest.mark.parametrize("spoil", CANNOT_COUNT, ids=lambda each: each.__name__)
def test_ready_means_that_a_hit_can_be_counted(real_redis: RealRedis, spoil: Callable[[RealRedis], None]) -> None:
    """For every reason that a hit is refused; `/healthz` stays 200."""
    counter = counter_at(real_redis.port)
    counter.hit()
    before = ready(counter, ())
    spoil(real_redis)
    answer = ready(counter, ())

    assert (200, 503) == (before.status, answer.status)
    assert CANNOT_COUNT[spoil] in str(answer.reason)


@pytest.mark.parametrize("spoil", [None, unqueued, undiscarded, full])
def test_readiness_writes_nothing(real_redis: RealRedis, spoil: Callable[[RealRedis], None] | None) -> None:
    """Neither a hit nor a key, and no connection is left in a transaction, whatever of it is refused."""
    counter = counter_at(real_redis.port)
    if spoil:
        spoil(real_redis)
    for _ in range(3):
        ready(counter, ())

    assert [] == real_redis.client.keys()
    if spoil is not full:
        assert 1 == counter.hit()


def test_readiness_comes_back_by_itself(serve: Callable[..., Process], real_redis: RealRedis) -> None:
    """With the first question after it is cured; `/healthz` is 200 all the time."""
    process = serve(real_redis.environment)
    full(real_redis)
    during = [process.ask(path).status for path in ("/", "/readyz", "/healthz")]
    real_redis.client.config_set("maxmemory", "0")
    after = [process.ask(path).status for path in ("/healthz", "/")]

    assert ([503, 503, 200], [200, 200]) == (during, after)
    real_redis.client.hset("twelfth:migrations", mapping={"0001": "{}", "0002": "{}"})
    assert 200 == process.ask("/readyz").status


def test_rotated_password_is_away_until_it_is_known(real_redis: RealRedis) -> None:
    """Connections that were signed in are closed by the operator; nothing is counted with the old one."""
    real_redis.client.config_set("requirepass", "old")
    owner = real_redis.client
    owner.execute_command("AUTH", "old")  # type: ignore[no-untyped-call]
    counter = counter_at(real_redis.port, password="old")  # noqa: S106
    first = counter.hit()
    owner.config_set("requirepass", "new")
    owner.client_kill_filter(_type="normal", skipme=True)
    time.sleep(BUSY_SECONDS)
    refused = ready(counter, ())
    owner.config_set("requirepass", "old")

    assert (1, 503) == (first, refused.status)
    assert "WRONGPASS" in str(refused.reason)
    assert 2 == counter.hit()
    owner.config_set("requirepass", "")


def test_unfinished_migration_is_shown_and_does_not_matter(real_redis: RealRedis) -> None:
    """The release does not need it."""
    real_redis.client.set("twelfth:migrating", json.dumps({"revision": "0003"}))
    answer = ready(counter_at(real_redis.port), ())

    assert (200, "0003") == (answer.status, answer.value["unfinished"])
