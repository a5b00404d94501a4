"""A backup contains all keys of all types exactly, and says what moment it shows."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis

from tests.conftest import require_program
from tests.twelfth_redis.stores import FAR, HISTORY, LOCK, MARK, Store, contents, digest, fill, saved, serving, written
from twelfth_redis.backup import dump
from twelfth_redis.backup.format import EACH, WHOLE
from twelfth_redis.backup.reader import Verified, verify
from twelfth_redis.backup.write import backup
from twelfth_redis.errors import FormatError, RefusedError
from twelfth_redis.lock import hold_lock, owner

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def paged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every backup page by page, with small pages."""
    monkeypatch.setattr(dump, "WHOLE_KEYS", 0)
    monkeypatch.setattr(dump, "PAGE_KEYS", 7)
    monkeypatch.setattr(dump, "PAGE_BYTES", 2000)


def verified(file: bytes) -> Verified:
    """Return the result of verifying."""
    return verify(io.BytesIO(file))


def piped(file: bytes, store: Store) -> None:
    """Load a backup with redis-cli only."""
    require_program("redis-cli")
    plain = subprocess.run(["zcat"], input=file, capture_output=True, check=True).stdout  # noqa: S607
    command = ["redis-cli", "-p", str(store.port), "--pipe"]
    said = subprocess.run(command, input=plain, capture_output=True, check=True).stdout
    assert b"errors: 0" in said


def run(environment: dict[str, str]) -> tuple[int, bytes, str]:
    """Return exit code, output and errors of the program."""
    ended = subprocess.run(
        [sys.executable, "-m", "admin.backup"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        timeout=20,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr.decode()


def test_few_keys_are_one_point_in_time(store: Store) -> None:
    """The manifest says "one point in time", and the backup is complete."""
    fill(store.client)
    store.client.hset(HISTORY.decode(), mapping={"0002": "{}", "0001": "{}"})
    file = saved(store.client, TWELFTH_RELEASE="abc", TWELFTH_RUN="r1", TWELFTH_OPERATOR="ada")
    found = verified(file).manifest

    assert (WHOLE, store.client.dbsize(), ("0001", "0002")) == (found.guarantee, found.keys, found.revisions)
    assert ("abc", "r1", "ada", 0) == (found.release, found.run, found.operator, found.database)
    assert (True, True) == (found.server.startswith("valkey 9"), found.payload >= 11)


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--before-restore"], 1)])
def test_backup_before_a_restore_that_cannot_follow_is_refused(store: Store, options: list[str], code: int) -> None:
    """If hiredis is missing, before anything is written; other backups need no hiredis."""
    without = "import sys; sys.modules['hiredis'] = None; from admin import backup; sys.exit(backup.main(sys.argv[1:]))"
    environment = {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(store.port)}
    command = [sys.executable, "-c", without, *options]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=20, check=False)

    assert (code, bool(code)) == (ended.returncode, not ended.stdout)
    assert bool(code) == (b"backup: this release lacks hiredis, which restore needs" in ended.stderr)


@pytest.mark.parametrize("by", ["whole", "paged"])
def test_stock_tools_bring_everything_back(store: Store, by: str, request: pytest.FixtureRequest) -> None:
    """`zcat FILE | redis-cli --pipe` on an empty server: each key, payload and expiry, by Redis' own digest too."""
    if by == "paged":
        request.getfixturevalue("paged")
    fill(store.client)
    before, known = contents(store.client), digest(store.client)
    file = saved(store.client)
    store.client.flushall()
    piped(file, store)

    assert (before, known) == (contents(store.client), digest(store.client))


@pytest.mark.usefixtures("paged")
def test_many_keys_are_each_by_itself(store: Store) -> None:
    """Then the manifest has an estimate, the trailer the number."""
    fill(store.client)
    done, file = written(store.client)
    found = verified(file)

    assert (EACH, EACH) == (done.guarantee, found.manifest.guarantee)
    assert store.client.dbsize() == done.count == found.trailer.count
    assert len(file) == done.size


def test_more_bytes_than_one_script_may_take_are_each_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script stops before it delays other clients."""
    monkeypatch.setattr(dump, "WHOLE_BYTES", 10_000)
    fill(store.client)

    assert EACH == verified(saved(store.client)).manifest.guarantee


@pytest.mark.usefixtures("paged")
def test_large_values_and_far_expiries_are_exact(store: Store) -> None:
    """Values beyond a page, and times that a double cannot represent, are read separately."""
    store.client.set("large", b"x" * 100_000, pxat=FAR)
    store.client.set("far", "1", pxat=2**53 + 1)
    store.client.set("small", "1")
    before = contents(store.client)
    file = saved(store.client)
    store.client.flushall()
    piped(file, store)

    assert before == contents(store.client)


def test_empty_database_is_a_backup_too(store: Store) -> None:
    """It has no key and no payload version."""
    found = verified(saved(store.client))

    assert (0, 0, WHOLE) == (found.trailer.count, found.manifest.payload, found.manifest.guarantee)


@pytest.mark.parametrize("by", ["whole", "paged"])
def test_what_belongs_to_the_moment_is_left_out(store: Store, by: str, request: pytest.FixtureRequest) -> None:
    """The mark, and the lock, if a backup is possible in spite of it."""
    if by == "paged":
        request.getfixturevalue("paged")
    else:
        store.client.set(LOCK, "x")
    store.client.set(MARK, "x")
    store.client.set("hits", 1)

    assert 1 == verified(saved(store.client)).trailer.count


def test_expired_keys_are_left_out(store: Store) -> None:
    """Redis keeps expired keys until a client asks for them."""
    store.client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")  # type: ignore[no-untyped-call]
    store.client.set("gone", 1, px=1)
    store.client.set("hits", 1)
    threading.Event().wait(0.01)

    assert 1 == verified(saved(store.client)).trailer.count


def test_other_databases_are_left_out(store: Store) -> None:
    """The address names one database."""
    store.client.set("hits", 1)
    store.database(3).mset({"hits": 3, "more": 3})
    found = verified(saved(store.database(3)))

    assert (2, 3) == (found.trailer.count, found.manifest.database)


@pytest.mark.parametrize(("by", "guarantee"), [("whole", WHOLE), ("paged", EACH)])
def test_one_point_in_time_is_one(store: Store, by: str, guarantee: str, request: pytest.FixtureRequest) -> None:
    """While a client increments both keys together, they are equal in a backup of one point in time."""
    if by == "paged":
        request.getfixturevalue("paged")
    store.client.mset({f"k{n}": n for n in range(500)})
    stop = threading.Event()

    def count() -> None:
        with redis.Redis(port=store.port) as client:
            while not stop.is_set():
                client.eval("redis.call('INCR', 'one') redis.call('INCR', 'two')", 0)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        files = [saved(store.client) for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    for file in files:
        store.client.flushall()
        piped(file, store)

        assert guarantee == verified(file).manifest.guarantee
        assert guarantee == EACH or store.client.get("one") == store.client.get("two")
        assert 500 <= store.client.dbsize()


@pytest.mark.usefixtures("paged")
def test_data_under_change_in_bulk_is_not_saved(store: Store) -> None:
    """Half of it would be old, and half new."""
    fill(store.client)

    with (
        hold_lock(store.client, owner("migrate", {})),
        pytest.raises(RefusedError, match="is being changed by migrate"),
    ):
        saved(store.client)


@pytest.mark.usefixtures("paged")
def test_change_in_bulk_meanwhile_spoils_the_backup(store: Store) -> None:
    """If a restore swaps the data meanwhile, the file gets no trailer, so it is not accepted as complete."""
    fill(store.client)
    stream = io.BytesIO()

    def swap(_: int) -> None:
        with hold_lock(store.client, owner("restore", {})):
            store.client.swapdb(0, 1)
            store.client.swapdb(0, 1)

    with pytest.raises(RefusedError, match="changed the data meanwhile"):
        backup(store.client, stream, owner("backup", {}), swap)
    with pytest.raises(FormatError, match="it is truncated"):
        verified(stream.getvalue())


def test_replica_and_full_server_are_saved(store: Store, tmp_path: Path) -> None:
    """A backup only reads."""
    fill(store.client)
    store.client.config_set("repl-diskless-sync-delay", 0)
    with serving(tmp_path, "--replicaof", f"127.0.0.1 {store.port}", "--repl-ping-replica-period", "1") as replica:
        while replica.client.info("replication")["master_link_status"] != "up":
            threading.Event().wait(0.01)
        replica.client.config_set("maxmemory", "1")

        assert verified(saved(store.client)).trailer.count == verified(saved(replica.client)).trailer.count


def test_cluster_is_refused_by_name(tmp_path: Path) -> None:
    """Its keys are on several nodes."""
    with serving(tmp_path, "--cluster-enabled", "yes") as cluster, pytest.raises(RefusedError, match="is a cluster"):
        saved(cluster.client)


def test_program_writes_to_standard_output(store: Store) -> None:
    """The file; one line about it is on standard error."""
    fill(store.client)
    code, file, said = run(store.environment)

    assert (0, 29) == (code, verified(file).trailer.count)
    assert (1, True) == (said.count("\n"), said.startswith(f"backup: 29 keys, one point in time, {len(file):,} bytes"))


def test_program_refuses_a_terminal(store: Store) -> None:
    """Exit 2: the file is binary."""
    screen, terminal = pty.openpty()
    ended = subprocess.run(
        [sys.executable, "-m", "admin.backup"],
        stdout=terminal,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **store.environment},
        check=False,
    )
    os.close(screen)
    os.close(terminal)

    assert (2, True) == (ended.returncode, b"invoke backup FILE" in ended.stderr)


def test_full_disk_is_one_line(store: Store) -> None:
    """Exit 1, and no traceback when the process exits."""
    fill(store.client)
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "admin.backup"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **store.environment},
            check=False,
        )

    assert (1, 1) == (ended.returncode, ended.stderr.count(b"\n"))
    assert b"cannot write the backup: No space left on device" in ended.stderr
