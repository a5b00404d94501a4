"""Whatever fails at whatever command, the data stays consistent, and the next run finishes the work.

A seeded sample by default; `TWELFTH_FAULTS=all pytest tests/admin/test_faults.py -s` takes every point.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import HISTORY, KINDS, MOMENTS, SINCE, Fault, Job, Scenario, dataset, inflict
from tests.real_redis import RealRedis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis

    from tests.faults import Data

ROOT = Path(__file__).resolve().parents[2]
ALL = os.environ.get("TWELFTH_FAULTS") == "all"
LATE_MS = 4_000_000_000_000
SHIPPED = sorted((ROOT / "admin" / "migrations").glob("[0-9]*.py"))
ONCE = '''"""What must not happen twice."""

def up(read, write):
    write.incr("visits")
    write.rpush("log", read.get("hits"))
'''
MANY = '''"""What is done to many keys."""

MATCH = "user:*"

def each(keys, read, write):
    for key, value in zip(keys, read.mget(keys)):
        if not value.startswith(b"new "):
            write.set(key, b"new " + value, keepttl=True)
'''
USERS = 240


def migrations(folder: Path, *more: str) -> Path:
    """Create a folder of the shipped migrations and some more."""
    folder.mkdir()
    for path in SHIPPED:
        (folder / path.name).write_bytes(path.read_bytes())
    for number, text in enumerate(more, len(SHIPPED) + 1):
        (folder / f"{number:04}_more.py").write_text(text)
    return folder


def few(client: redis.Redis) -> None:
    """Fill a database like that of a service."""
    client.set("hits", 41)
    client.set("late", "x", pxat=LATE_MS)


def many(client: redis.Redis) -> None:
    """Add users, some of whom expire."""
    few(client)
    with client.pipeline(transaction=False) as pipe:
        for number in range(USERS):
            pipe.set(f"user:{number}", f"name {number}", pxat=LATE_MS if number % 3 else None)
        pipe.execute()


def all_types(client: redis.Redis) -> None:
    """Add one key of each type."""
    many(client)
    client.hset("hash", mapping={"a": 1, "b": "x" * 100})
    client.rpush("list", *range(300))
    client.sadd("set", "a", "b")
    client.zadd("sorted", {"a": 1.5, "b": 2})
    client.xadd("stream", {"a": "b"}, id="1-1")
    client.set("large", bytes(range(256)) * 64)


def recorded_is_done(data: Data) -> bool:
    """Return whether each migration is recorded and applied, or neither."""
    live = data.get("db0", {})
    records = live.get(HISTORY, {})
    assert isinstance(records, dict)
    done = [
        (SINCE in live, b"0002" in records),
        (b"visits" in live, b"0003" in records),
        (b"log" in live, b"0003" in records),
    ]
    return all(effect == record for effect, record in done)


def no_user_is_lost(data: Data) -> bool:
    """Return whether no user is missing."""
    return USERS == sum(key.startswith(b"user:") for key in data.get("db0", {}))


def chosen(most: int) -> Callable[[int], Sequence[Fault]]:
    """Return a function that chooses all faults, or a sample of `most`."""

    def choose(commands: int) -> Sequence[Fault]:
        every = [Fault(*point) for point in itertools.product(range(1, commands + 1), MOMENTS, KINDS)]  # type: ignore[arg-type]
        return every if ALL else random.Random(12).sample(every, min(most, len(every)))  # noqa: S311 - no secret

    return choose


def verdict(
    directory: Path, scenario: Scenario, most: int, note: Callable[[str, object], None]
) -> tuple[list[str], int]:
    """Return the failures and the number of faults, which the report records."""
    found = inflict(directory, scenario, chosen(most))
    summary = f"{found.happened} faults at {found.commands} commands"
    note("faults", summary)
    print(summary, *found.wrong, sep="\n")  # noqa: T201 - what a run with -s is for
    return found.wrong, found.happened


def test_a_migration_is_done_once_with_its_record_or_not_at_all(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Also one that must not be repeated; and a process that lost the lock writes nothing more."""
    job = Job("migrate", folder=migrations(tmp_path / "migrations", ONCE))
    wrong, happened = verdict(tmp_path, Scenario(few, job, recorded_is_done), 80, record_property)

    assert [] == wrong
    assert happened > 60


@pytest.mark.thorough
def test_a_migration_of_many_keys_is_finished_by_the_next_run(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each user is changed in the end, and none is lost."""
    job = Job("migrate", folder=migrations(tmp_path / "migrations", ONCE, MANY))
    wrong, happened = verdict(tmp_path, Scenario(many, job, no_user_is_lost), 80, record_property)

    assert [] == wrong
    assert happened > 60


@pytest.mark.thorough
def test_a_reset_is_whole_or_not_at_all(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """The counter and the time since when it counts are set together."""
    with filled(tmp_path, few) as server:
        before = dataset(server)["db0"][b"hits"]
    scenario = Scenario(
        few, Job("reset", ("--to", "7")), lambda data: (SINCE in data["db0"]) == (data["db0"][b"hits"] != before)
    )
    wrong, happened = verdict(tmp_path, scenario, 40, record_property)

    assert [] == wrong
    assert happened > 30


@pytest.mark.thorough
def test_a_restore_is_whole_or_not_at_all(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """The live data is the old or the restored; the next run leaves nothing in other databases."""
    scenario = restoring(tmp_path)
    wrong, happened = verdict(tmp_path, scenario, 80, record_property)

    assert [] == wrong
    assert happened > 60


def restoring(directory: Path) -> Scenario:
    """Return the restore of a backup with many keys over a few."""
    file = directory / "backup"
    with filled(directory, few) as server:
        old = dataset(server)["db0"]
    with filled(directory, all_types) as server, file.open("wb") as stream:
        new = dataset(server)["db0"]
        command = [sys.executable, "-m", "admin.backup"]
        environment = os.environ | server.environment
        subprocess.run(command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.DEVNULL, check=True)
    return Scenario(few, Job("restore", given=file), lambda data: data.get("db0") in (old, new))


@contextlib.contextmanager
def filled(directory: Path, seed: Callable[[redis.Redis], None]) -> Iterator[RealRedis]:
    """Yield a server with data."""
    server = RealRedis(directory)
    try:
        seed(server.client)
        yield server
    finally:
        server.kill()
        server.client.close()
