"""Hashes with expiring fields: from when they may be missing, by DUMP's payload, and how a restore counts them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.real_redis import eventually
from tests.twelfth_redis.stores import FAR, Store, contents, digest, restored, saved
from twelfth_redis.backup.field_expiry import UNKNOWN, vanishes
from twelfth_redis.backup.staging import StagingDatabase
from twelfth_redis.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

SOON = 300
"""Milliseconds until a field expires: longer than a backup takes."""
REDIS_8 = {
    "listpack": (bytes.fromhex("197f911f28a20100001d1d00000006008161020101f47f911f28a2010000"), 0x1A2281F917F),
    "table": (bytes.fromhex("1889911f28a2010000412c000466313638c34064017878"), 0x1A2281F9189),
}
"""What Redis 8.0 gave, and the earliest time in it."""


def expiring(store: Store, key: str, fields: Mapping[str, str | bytes], milliseconds: int, *names: str) -> None:
    """Set a hash of which some fields expire."""
    for name, value in fields.items():
        store.client.hset(key, name, value)
    store.client.hpexpire(key, milliseconds, *names)


def dumped(store: Store, key: str) -> bytes:
    """Return the payload of DUMP."""
    payload = store.client.dump(key)
    assert isinstance(payload, bytes)
    return payload


@pytest.mark.parametrize("by", REDIS_8)
def test_time_of_redis_is_the_earliest_of_all_fields(by: str) -> None:
    """It is the first of the payload."""
    payload, earliest = REDIS_8[by]

    assert earliest == vanishes(payload)


@pytest.mark.parametrize(
    "value", [b"1", b"-200", b"70000", b"12345678901", b"a" * 63, b"b" * 64, bytes(range(256)) * 70, b"c" * 20_000]
)
def test_time_of_valkey_is_the_latest_of_all_fields(store: Store, value: bytes) -> None:
    """Whatever the fields contain, each in its notation."""
    expiring(store, "h", {"a": value, "b": value}, 10_000_000, "a", "b")
    store.client.hpexpireat("h", FAR, "a")

    assert FAR == vanishes(dumped(store, "h"))


def test_hash_with_a_field_that_stays_never_vanishes(store: Store) -> None:
    """Nor does a value without expiring fields."""
    expiring(store, "h", {"a": "1", "b": "2"}, 10_000_000, "a")
    store.client.set("s", 1)

    assert (0, 0) == (vanishes(dumped(store, "h")), vanishes(dumped(store, "s")))


@given(st.binary(min_size=1))
def test_payload_of_an_unknown_type_may_be_gone_at_any_moment(rest: bytes) -> None:
    """Never an error."""
    assert UNKNOWN == vanishes(b"\x63" + rest)
    assert vanishes(b"\x16" + rest) >= 0
    assert UNKNOWN == vanishes(b"\x16" + rest, is_complete=False)


@pytest.mark.parametrize("size", [1, 2 << 20], ids=["small", "large"])
def test_hash_that_vanishes_before_the_swap_is_missed_by_no_restore(
    store: Store, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fields expire while it is loaded."""
    expiring(store, "brief", {"a": "x" * size, "b": "y"}, SOON, "a", "b")
    expiring(store, "half", {"a": "1", "b": "2"}, SOON, "a")
    store.client.mset({"hits": 42, "other": 1})
    file = saved(store.client)
    swap = StagingDatabase.swap

    def late(staging: StagingDatabase) -> tuple[int, int]:
        eventually(lambda: not staging.client.exists("brief"))
        return swap(staging)

    monkeypatch.setattr(StagingDatabase, "swap", late)
    store.client.flushall()

    assert (3, {b"half", b"hits", b"other"}) == (restored(file, store.client).count, {*contents(store.client)})


def test_backup_that_is_restored_after_its_fields_expired_is_whole_otherwise(store: Store) -> None:
    """For any number of such hashes, and though the server deletes them at any time."""
    for number in range(200):
        expiring(store, f"brief{number}", {"a": "1"}, SOON, "a")
    store.client.mset({f"key{number}": number for number in range(5000)})
    file = saved(store.client)
    time.sleep(2 * SOON / 1000)

    done = restored(file, store.client, lambda _: time.sleep(0.1))  # long enough for the server to delete some
    assert 5000 <= done.count < 5200
    eventually(lambda: 5000 == store.client.dbsize())


@pytest.mark.parametrize("lost", ["lasting", "hits"])
def test_key_that_is_lost_is_missed_though_other_hashes_have_fields_that_expire(
    store: Store, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most those keys may be missing that can have expired by then."""
    expiring(store, "lasting", {"a": "1", "b": "2"}, 10_000_000, "a", "b")
    store.client.mset({"hits": 42, "other": 1})
    file, before = saved(store.client), digest(store.client)
    swap = StagingDatabase.swap

    def robbed(staging: StagingDatabase) -> tuple[int, int]:
        staging.client.delete(lost)
        return swap(staging)

    monkeypatch.setattr(StagingDatabase, "swap", robbed)
    with pytest.raises(RefusedError, match="has 2 keys, but 3 were loaded and at most 0 of them expired"):
        restored(file, store.client)
    assert before == digest(store.client)
