"""A restore restores everything exactly, atomically or not at all."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.real_redis import eventually
from tests.twelfth_redis.backup.test_format import MANIFEST, SEALED, packed, plain
from tests.twelfth_redis.stores import (
    FAR,
    FENCE,
    LOCK,
    MARK,
    Store,
    contents,
    digest,
    entry,
    fill,
    restored,
    saved,
    serving,
)
from twelfth_redis.backup import reader
from twelfth_redis.backup.reader import Batch
from twelfth_redis.backup.staging import HORIZON_SECONDS, StagingDatabase, Tally
from twelfth_redis.errors import LockLostError, RefusedError
from twelfth_redis.lock import hold_lock, owner

if TYPE_CHECKING:
    from collections.abc import Callable

    Late = Callable[[str, Callable[[StagingDatabase], object]], None]

ROOT = Path(__file__).resolve().parents[3]
BINARY = st.binary(max_size=40)
NAMES = st.sets(BINARY.filter(lambda name: name not in {LOCK, MARK}), min_size=1, max_size=20)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make batches of one key."""
    monkeypatch.setattr(reader.first_commands, "__defaults__", (0, 1))


def start(store: Store, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the program; the test writes its input."""
    return subprocess.Popen(
        [sys.executable, "-m", "admin.restore", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **store.environment},
    )


def begin(store: Store, file: bytes) -> subprocess.Popen[bytes]:
    """Start the program, send all but the end of a file, and return when it has loaded something."""
    program = start(store)
    assert program.stdin
    program.stdin.write(file[:-20])
    program.stdin.flush()
    eventually(lambda: store.database(15).dbsize() > 1)
    return program


def backed_up_before_restore(store: Store, file: bytes) -> tuple[int, bytes, str]:
    """Back up the live data before a restore of a file; return the exit code and the output."""
    command = [sys.executable, "-m", "admin.backup", "--before-restore"]
    ended = subprocess.run(command, input=file, capture_output=True, cwd=ROOT, env=store.environment, check=False)
    return ended.returncode, ended.stdout, ended.stderr.decode()


def large(store: Store) -> bytes:
    """Return a backup that takes more than one batch long before its end."""
    store.client.mset({f"key{n}": os.urandom(1000) for n in range(3000)})
    return saved(store.client)


def marked(store: Store, live: int = 0) -> redis.Redis:
    """Return the highest database as a restore of that one leaves it that was killed."""
    left = store.database(15)
    left.mset({MARK: f"restore of database {live}, 0123", b"left": "over"})
    return left


def test_backup_of_an_older_version_is_restored(store: Store) -> None:
    """Version 0.2 appended a second gzip member; all keys are restored, with their types."""
    restored(SEALED, store.client)

    assert (b"1764", [b"a", b"b", b"c"]) == (store.client.get("hits"), store.client.lrange("list", 0, -1))
    assert 6 == store.client.dbsize()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_all_types_come_back_exactly(store: Store, data: st.DataObject) -> None:
    """Keys, payloads and expiries, whatever bytes they contain, and Redis's own digest."""
    client = store.client
    client.flushall()
    for name in data.draw(NAMES):
        kind = data.draw(st.sampled_from(["string", "list", "set", "zset", "hash", "stream"]))
        values = data.draw(st.lists(BINARY, min_size=1, max_size=9))
        if kind == "string":
            client.set(name, values[0])
        elif kind == "list":
            client.rpush(name, *values)
        elif kind == "set":
            client.sadd(name, *values)
        elif kind == "zset":
            client.zadd(name, {value: number / 7 for number, value in enumerate(values)})
        elif kind == "hash":
            client.hset(name, mapping=dict.fromkeys(values, values[-1]))
        else:
            client.xadd(name, {b"value": values[0]}, id="7-1")
            client.xgroup_create(name, values[0], id="0")
        if data.draw(st.booleans()):
            client.pexpireat(name, data.draw(st.integers(FAR, 2**55)))
    before, known = contents(client), digest(client)
    file = saved(client)
    client.flushall()
    client.set("other", "data")
    done = restored(file, client)

    assert (len(before), 1) == (done.count, done.replaced)
    assert (before, known) == (contents(client), digest(client))


def test_what_was_there_is_gone(store: Store) -> None:
    """All data is replaced, and the output says by what."""
    fill(store.client)
    file = saved(store.client, TWELFTH_RELEASE="abc")
    before = digest(store.client)
    store.client.mset({f"new{n}": n for n in range(2000)})
    done = restored(file, store.client)

    assert before == digest(store.client)
    assert (
        f"restored 29 keys (backup of {done.manifest.time}, release abc); replaced 2,029 keys\n"
        "it lacks revision 0001, 0002. Try: invoke migrate"
    ) == str(done)


def test_empty_backup_empties(store: Store) -> None:
    """It is data like any other."""
    file = saved(store.client)
    store.client.set("hits", 1)

    assert (0, 1) == (restored(file, store.client).count, restored(file, store.client).replaced + 1)
    assert {} == store.client.info("keyspace")


def test_any_database_can_be_the_live_one(store: Store) -> None:
    """The others are unchanged, even the highest, which is not used for staging then."""
    live = store.database(15)
    fill(live)
    file = saved(live)
    before = contents(live)
    live.flushdb()
    store.client.set("hits", 7)
    restored(file, live)

    assert (before, b"7", ["db0", "db15"]) == (
        contents(live),
        store.client.get("hits"),
        [*store.client.info("keyspace")],
    )


def test_database_aside_is_the_highest_that_is_empty(store: Store) -> None:
    """Data in other databases stays."""
    fill(store.client)
    file = saved(store.client)
    store.database(15).set("a", 1)
    store.database(14).set(MARK, "restore of database 3, 0123")
    restored(file, store.client)

    assert (1, 1, 0) == tuple(store.database(number).dbsize() for number in (15, 14, 13))


def test_large_value_comes_back(store: Store) -> None:
    """One value larger than any batch."""
    store.client.set("large", os.urandom(5 << 20))
    store.client.set("small", 1)
    before = contents(store.client)
    restored(saved(store.client), store.client)

    assert before == contents(store.client)


@pytest.mark.usefixtures("slow")
def test_key_that_comes_twice_is_counted_once(store: Store) -> None:
    """SCAN may return it twice; the later one counts."""
    payloads = [store.client.set("k", value) and store.client.dump("k") for value in "abc"]
    file = packed(plain(*(entry(b"k", 0, payload) for payload in payloads if isinstance(payload, bytes))))

    assert (1, b"c") == (restored(file, store.client).count, store.client.get("k"))


def test_key_that_expired_meanwhile_is_missed_by_nobody(store: Store) -> None:
    """It would be missing anyway."""
    store.client.set("short", 1, px=30)
    store.client.set("hits", 1)
    file = saved(store.client)
    threading.Event().wait(0.05)

    assert (1, {b"hits"}) == (restored(file, store.client).count, set(contents(store.client)))


def test_count_allows_for_what_expires_and_for_nothing_else() -> None:
    """Of five keys one is repeated, one has expired, and one will expire in ten seconds."""
    loaded = Tally(started=1000)
    loaded.add(Batch([b"k"] * 5, [b"0", b"0", b"999000", b"1010500", b"%d" % (FAR * 1000)], b""), 1)

    assert [3, 4] == [found for found in range(7) if loaded.fits(found, 1000)]
    assert [2, 3, 4] == [found for found in range(7) if loaded.fits(found, 1010)]
    assert 3 == loaded.expired(1000 + HORIZON_SECONDS)


def test_hits_go_on_until_the_swap(store: Store) -> None:
    """Every hit gets a number; once the backup is live they count on from what it holds."""
    store.client.set("hits", 1_000_000)
    file = saved(store.client)
    store.client.set("hits", 0)
    numbers: list[int] = []
    stop = threading.Event()

    def hit() -> None:
        with redis.Redis(port=store.port) as client:
            while not stop.is_set():
                numbers.append(client.incr("hits"))

    threads = [threading.Thread(target=hit) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(numbers) > 100)
        restored(file, store.client)
        reached = len(numbers)
        eventually(lambda: len(numbers) > reached + 100)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    old = sorted(number for number in numbers if number < 1_000_000)
    new = sorted(number for number in numbers if number > 1_000_000)

    assert (list(range(1, len(old) + 1)), list(range(1_000_001, 1_000_001 + len(new)))) == (old, new)
    assert [1_000_000 + len(new)] == [int(store.client.get("hits") or 0)]


def test_leftover_of_a_killed_restore_is_flushed(store: Store) -> None:
    """Its mark identifies it; databases marked for another live database are not flushed."""
    fill(store.client)
    file = saved(store.client)
    left, others = marked(store), store.database(9)
    others.mset({MARK: "restore of database 3, 4567", b"loading": "still"})
    restored(file, store.client)

    assert (0, 2) == (left.dbsize(), others.dbsize())


def test_killed_restore_leaves_live_data_alone(store: Store) -> None:
    """Its staged data is marked, and the next restore flushes it."""
    file = large(store)
    before = contents(store.client)
    program = begin(store, file)
    program.kill()
    program.communicate()

    store.client.delete(LOCK, FENCE)  # it would expire in a while

    assert (before, 1) == (contents(store.client), store.database(15).exists(MARK))
    restored(file, store.client)
    assert (before, 0) == (contents(store.client), store.database(15).dbsize())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stopped_restore_leaves_nothing(store: Store, number: signal.Signals) -> None:
    """One line, the exit code of the signal, nothing staged, no lock."""
    file = large(store)
    before = digest(store.client)
    program = begin(store, file)
    program.send_signal(number)
    _, printed = program.communicate(timeout=20)

    progress = " so far"  # once per second
    lines = [line for line in printed.decode().splitlines() if not line.endswith(progress)]
    assert (128 + number, [f"restore: stopped by {number.name}; the data is unchanged"]) == (program.returncode, lines)
    assert before == digest(store.client)


def test_file_that_ends_early_leaves_nothing(store: Store) -> None:
    """The operator's client was killed."""
    file = large(store)
    before = digest(store.client)
    program = begin(store, file)
    _, said = program.communicate(timeout=10)

    assert (1, True) == (program.returncode, b"it is truncated" in said)
    assert before == digest(store.client)


def test_program_says_what_was_replaced(store: Store) -> None:
    """One line on standard output, exit 0."""
    fill(store.client)
    program = start(store)
    out, said = program.communicate(saved(store.client), timeout=10)

    assert (0, b"", True) == (program.returncode, said, b"; replaced 29 keys\n" in out)


@pytest.mark.thorough
def test_lock_that_is_lost_stops_the_restore(store: Store) -> None:
    """Another process may be changing the data by now."""
    file = large(store)

    def steal(_: int) -> None:
        store.client.set(LOCK, "another")

    before = contents(store.client)
    with pytest.raises(LockLostError):
        restored(file, store.client, steal)
    store.client.delete(LOCK)
    assert (before, ["db0"]) == (contents(store.client), [*store.client.info("keyspace")])


def test_database_aside_that_is_flushed_stops_the_restore(store: Store) -> None:
    """A paused restore cannot write into a database that another process uses by now."""
    file = large(store)

    def flush(_: int) -> None:
        store.database(15).flushdb()
        store.database(15).set("foreign", 1)

    with pytest.raises(LockLostError, match="was flushed"):
        restored(file, store.client, flush)
    assert [b"foreign"] == store.database(15).keys()


def test_stranger_in_the_database_aside_stops_the_restore(store: Store) -> None:
    """A key that is not in the backup must not become live."""
    file = large(store)
    before = contents(store.client)

    def intrude(_: int) -> None:
        store.database(15).set("stranger", 1)

    with pytest.raises(RefusedError, match="database 15 has 3,001 keys, but 3,000 were loaded and at most 0"):
        restored(file, store.client, intrude)
    assert (before, ["db0"]) == (contents(store.client), [*store.client.info("keyspace")])


def test_lock_of_another_is_waited_for(store: Store) -> None:
    """Its holder is named, and nothing changes."""
    fill(store.client)
    file = saved(store.client)

    with hold_lock(store.client, owner("migrate", {})), pytest.raises(RefusedError, match="locked by migrate"):
        restored(file, store.client)


def test_history_that_this_release_does_not_know_is_refused(store: Store) -> None:
    """Old data with a newer release's history would be served wrongly."""
    record = {"revision": "9999", "title": "From the future", "release": "zzz", "contract": True}
    store.client.hset("twelfth:migrations", "9999", json.dumps(record))
    file = saved(store.client)
    store.client.flushall()
    store.client.set("hits", 1)
    before = digest(store.client)

    with pytest.raises(RefusedError, match="the data is ahead: 9999"):
        restored(file, store.client)
    assert before == digest(store.client)


def test_payload_of_a_newer_server_is_refused_before_anything_is_written(store: Store) -> None:
    """By its manifest, with both servers' names; the same check runs before the live data is backed up."""
    manifest = replace(MANIFEST, server="redis 99.0", payload=9999)
    file = packed(plain(entry(b"k", 0, b"\x00\x01x" + (9999).to_bytes(2, "little") + bytes(8)), manifest=manifest))
    changes = store.client.info("persistence")["rdb_changes_since_last_save"]

    with pytest.raises(
        RefusedError, match=r"^valkey [\d.]+ cannot read what redis 99\.0 wrote \(payload version 9999\)"
    ):
        restored(file, store.client)
    code, out, said = backed_up_before_restore(store, file)

    assert (1, b"", 1) == (code, out, said.count("\n"))
    assert "backup: valkey" in said
    assert "cannot read what redis 99.0 wrote (payload version 9999); the data is unchanged. Try: restore it on" in said
    assert changes == store.client.info("persistence")["rdb_changes_since_last_save"]


def test_backup_is_taken_where_the_other_can_be_restored(store: Store) -> None:
    """And if standard input is empty."""
    store.client.set("hits", 1)
    file = saved(store.client)

    ended = [backed_up_before_restore(store, given) for given in (file, b"")]

    assert [0, 0] == [code for code, _, _ in ended]
    assert b"hits" in gzip.decompress(ended[0][1])


def test_one_database_only_is_refused(tmp_path: Path) -> None:
    """There is no room for a staging database."""
    with serving(tmp_path, "--databases", "1") as store:
        fill(store.client)
        before = digest(store.client)
        with pytest.raises(RefusedError, match="one database only"):
            restored(saved(store.client), store.client)
        assert before == digest(store.client)


def test_no_empty_database_is_refused(tmp_path: Path) -> None:
    """There is no empty database for staging either."""
    with serving(tmp_path, "--databases", "2") as store:
        store.client.set("hits", 1)
        store.database(1).set("hits", 1)
        with pytest.raises(RefusedError, match="each of the 2 databases of this Redis has data"):
            restored(saved(store.client), store.client)


def test_replica_is_refused(store: Store, tmp_path: Path) -> None:
    """It follows its primary."""
    with (
        serving(tmp_path, "--replicaof", f"127.0.0.1 {store.port}") as replica,
        pytest.raises(RefusedError, match="is a replica"),
    ):
        restored(saved(store.client), replica.client)


def test_cluster_is_refused(store: Store, tmp_path: Path) -> None:
    """By name."""
    with serving(tmp_path, "--cluster-enabled", "yes") as cluster, pytest.raises(RefusedError, match="is a cluster"):
        restored(saved(store.client), cluster.client)


def test_memory_that_ends_half_way_changes_nothing(store: Store) -> None:
    """One line; the staging database is empty."""
    file = large(store)
    before = digest(store.client)
    store.client.config_set("maxmemory", store.client.info("memory")["used_memory"] + (1 << 20))
    try:
        with pytest.raises(RefusedError, match="no memory left"):
            restored(file, store.client)
    finally:
        store.client.config_set("maxmemory", 0)
    assert before == digest(store.client)


@pytest.mark.parametrize("room", [1 << 16, 20 << 20])
def test_live_keys_are_never_evicted_to_make_room(store: Store, room: int) -> None:
    """If the policy would evict keys, a restore that does not fit is refused, early or late."""
    small = b""
    if room > 1 << 20:  # the manifest understates what it takes, as one from another server may
        store.client.set("hits", 1)
        small = saved(store.client)
    file = large(store)
    before = digest(store.client)
    store.client.config_set("maxmemory-policy", "allkeys-lru")
    store.client.config_set("maxmemory", store.client.info("memory")["used_memory"] + (room if not small else 2 << 20))
    try:
        with pytest.raises(RefusedError, match="Redis would evict live keys"):
            restored(understated(file) if small else file, store.client)
        assert 0 == store.client.info("stats")["evicted_keys"]
    finally:
        store.client.config_set("maxmemory", 0)
        store.client.config_set("maxmemory-policy", "noeviction")
    assert before == digest(store.client)


def test_room_is_looked_for_when_the_leftover_of_a_killed_restore_is_gone(store: Store) -> None:
    """Else it would be refused each time, and the staged data would stay."""
    file = large(store)
    left = marked(store)
    left.mset({f"left{n}": os.urandom(1000) for n in range(20_000)})
    store.client.config_set("maxmemory-policy", "allkeys-lru")
    store.client.config_set("maxmemory", store.client.info("memory")["used_memory"] + (1 << 20))
    try:
        assert 3000 == restored(file, store.client).count
        assert 0 == store.client.info("stats")["evicted_keys"]
    finally:
        store.client.config_set("maxmemory", 0)
        store.client.config_set("maxmemory-policy", "noeviction")


def understated(file: bytes) -> bytes:
    """Return the same backup with a manifest that declares no memory."""
    again = reader.Reader(iter([gzip.decompress(file)]))
    commands = [
        reader.first_commands(batch.commands, at, 1).commands for batch in again.batches() for at in starts(batch)
    ]
    return packed(plain(*commands, manifest=replace(again.manifest, memory=0)))


def starts(batch: Batch) -> list[int]:
    """Return the positions at which the commands of a batch start."""
    at, found = 0, []
    while at < len(batch.commands):
        found.append(at)
        at += len(reader.first_commands(batch.commands, at, 1).commands)
    return found


def test_redis_that_goes_away_is_told(tmp_path: Path) -> None:
    """One line from the program when the file continues; there is nothing to clean up."""
    with serving(tmp_path) as store:
        file = large(store)
        program = begin(store, file)
        store.kill()
        _, said = program.communicate(file[-20:], timeout=20)

        (message,) = [line for line in said.splitlines() if not line.endswith(b" so far")]  # progress
        assert (1, b"restore: lost the connection to Redis: ") == (program.returncode, message[:39])
        store.start()


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    """Give a function that has others do something once, just before a method of `StagingDatabase` is called."""

    def before(name: str, others: Callable[[StagingDatabase], object]) -> None:
        method, waiting = getattr(StagingDatabase, name), [others]

        def called(staging: StagingDatabase, *arguments: object) -> object:
            if waiting:
                waiting.pop()(staging)
            return method(staging, *arguments)

        monkeypatch.setattr(StagingDatabase, name, called)

    return before


@pytest.mark.parametrize("moment", ["swap", "_counted"])
def test_staging_database_that_was_flushed_is_not_swapped_in(store: Store, late: Late, moment: str) -> None:
    """However late, even when the keys were counted: its mark is watched."""
    fill(store.client)
    file = saved(store.client)
    before = digest(store.client)
    late(moment, lambda staging: store.database(staging.number).flushdb())

    with pytest.raises(LockLostError, match=r"was flushed\. Try: repeat the restore"):
        restored(file, store.client)
    assert before == digest(store.client)


def test_lock_that_is_lost_last_stops_the_swap(store: Store, late: Late) -> None:
    """Even after the last check: the fence is watched."""
    fill(store.client)
    file = saved(store.client)
    before = contents(store.client)
    late("_counted", lambda _: store.client.mset({LOCK: "another", FENCE: "another"}))

    with pytest.raises(LockLostError, match="the lock was lost"):
        restored(file, store.client)
    store.client.delete(LOCK, FENCE)
    assert before == contents(store.client)


def test_stranger_that_comes_last_is_not_swapped_in(store: Store, late: Late) -> None:
    """When all is loaded and checked, the staged keys are counted once more."""
    fill(store.client)
    file = saved(store.client)
    before = digest(store.client)
    late("swap", lambda staging: store.database(staging.number).set("stranger", 1))

    with pytest.raises(RefusedError, match="database 15 has 30 keys, but 29 were loaded"):
        restored(file, store.client)
    assert before == digest(store.client)


def test_key_that_is_lost_last_is_missed(store: Store, late: Late) -> None:
    """One that did not expire."""
    fill(store.client)
    file = saved(store.client)
    before = digest(store.client)
    late("swap", lambda staging: store.database(staging.number).delete("hits"))

    with pytest.raises(RefusedError, match="database 15 has 28 keys, but 29 were loaded and at most 0 of them expired"):
        restored(file, store.client)
    assert before == digest(store.client)


def test_key_that_expires_last_is_missed_by_nobody(store: Store, late: Late) -> None:
    """At any moment before the swap."""
    fill(store.client)
    store.client.set("short", 1, px=300)
    file = saved(store.client)
    late("swap", lambda staging: eventually(lambda: not store.database(staging.number).exists("short")))

    assert 29 == restored(file, store.client).count


def test_empty_database_that_a_client_is_connected_to_is_not_loaded_into(store: Store) -> None:
    """It may belong to another service that is about to write its first key."""
    file = large(store)
    seen: list[tuple[int, int, int]] = []
    with store.database(15) as other, store.database(14) as staging:
        other.ping()

        def look(_: int) -> None:
            seen.append((other.incr("hits"), other.dbsize(), staging.exists(MARK)))

        restored(file, store.client, look)

        assert [(number + 1, 1, 1) for number in range(len(seen))] == seen
        assert (str(len(seen)).encode(), 0, True) == (other.get("hits"), staging.dbsize(), len(seen) > 1)
