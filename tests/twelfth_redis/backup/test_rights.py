"""The rights that a restore needs are checked before anything is loaded, and none is needed in vain."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from tests.twelfth_redis.stores import (
    DEBIAN,
    FAR,
    FENCE,
    LOCK,
    MARK,
    Store,
    digest,
    fill,
    restored,
    saved,
    serving,
    typed,
)
from twelfth_redis.backup import restore, rights
from twelfth_redis.errors import LockLostError, RefusedError
from twelfth_redis.lock import hold_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
KINDS: dict[str, tuple[str, ...]] = {"valkey": (), "redis": DEBIAN}


@dataclass(frozen=True)
class Prepared:
    """A server with live data, a backup of other data, and the server's own file of its data."""

    store: Store
    backup: bytes
    rdb: Path


def prepare(store: Store) -> Prepared:
    """Create both kinds of data."""
    fill(store.client)
    store.client.set("large", b"x" * (2 << 20), pxat=FAR)
    backup = saved(store.client)
    store.client.flushall()
    store.client.mset({"hits": 7, "live": "data"})
    store.client.save()
    return Prepared(store, backup, store.directory / "dump.rdb")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """Yield the product's server."""
    with serving(tmp_path_factory.mktemp("valkey"), command=KINDS["valkey"]) as store:
        yield prepare(store)


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """Yield an older one of another kind."""
    with serving(tmp_path_factory.mktemp("redis"), command=KINDS["redis"]) as store:
        yield prepare(store)


@pytest.fixture(params=KINDS)
def prepared(request: pytest.FixtureRequest) -> Prepared:
    """Yield either, with its live data."""
    found = request.getfixturevalue({"redis": "debian"}.get(request.param, request.param))
    assert isinstance(found, Prepared)
    found.store.client.flushall()
    found.store.client.mset({"hits": 7, "live": "data"})
    return found


@contextlib.contextmanager
def user(store: Store, *rules: str) -> Iterator[redis.Redis]:
    """Yield a client that may use everything except what the rules forbid."""
    change(store, "reset", "on", "nopass", "~*", "&*", "+@all", *rules)
    with redis.Redis(port=store.port, username="u", protocol=2, driver_info=None) as client:
        yield client
    store.client.acl_deluser("u")


def change(store: Store, *rules: str) -> None:
    """Change the rights of that user."""
    store.client.execute_command("ACL", "SETUSER", "u", *rules)  # type: ignore[no-untyped-call]


def refused(file: bytes, client: redis.Redis, store: Store) -> str:
    """Return why a restore is refused, which loads nothing and leaves all databases as they are."""
    before, loaded = digest(store.client), list[int]()
    with pytest.raises(RefusedError) as error:
        restored(file, client, loaded.append)

    assert (before, []) == (digest(store.client), loaded)
    return str(error.value)


def test_list_of_needed_commands_is_what_a_restore_uses(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """According to the server's statistics; none is missing, and none is unused."""
    client = prepared.store.client
    prepared.store.database(15).mset({MARK: "restore of database 0, 0123", b"left": "over"})
    monkeypatch.setattr(restore, "refuse_forbidden", lambda _: None)
    monkeypatch.setitem(hold_lock.__wrapped__.__kwdefaults__, "lease", 1.0)  # type: ignore[attr-defined]
    client.script_flush()
    with user(prepared.store) as own:
        client.config_resetstat()
        restored(prepared.backup, own, lambda _: time.sleep(0.4))  # long enough for the lock to be renewed
        with pytest.raises(LockLostError):
            restored(prepared.backup, own, lambda _: own.eval("redis.call('SELECT', 15) redis.call('FLUSHDB')", 0))
        used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}

    assert {name.lower().replace(" ", "|") for name in rights.NEEDED} == used - {"auth", "config|resetstat"}


@pytest.mark.parametrize("name", rights.NEEDED)
def test_command_that_the_user_may_not_run_is_named_before_anything_is_loaded(prepared: Prepared, name: str) -> None:
    """With the command that allows it, which works when typed."""
    denied = name.lower().replace(" ", "|")
    with user(prepared.store, f"-{denied}") as client:
        why = refused(prepared.backup, client, prepared.store)
        assert f" {name}" in why, why

        typed(prepared.store, why)
        assert 30 == restored(prepared.backup, client).count


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", rights.NEEDED)
def test_command_that_was_renamed_is_named_before_anything_is_loaded(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, name: str
) -> None:
    """As hardening guides say; the staging database is empty afterwards."""
    prepared = request.getfixturevalue({"redis": "debian"}.get(kind, kind))
    shutil.copy(prepared.rdb, tmp_path)
    container, *_ = name.split()
    with serving(tmp_path, "--appendonly", "no", "--rename-command", container, "", command=KINDS[kind]) as store:
        why = refused(prepared.backup, store.client, store)

    assert (True, True) == (name in why, "Try: remove its rename-command; or" in why), why


def test_user_with_some_keys_only_is_refused_before_anything_is_loaded(prepared: Prepared) -> None:
    """A restore writes keys of any name."""
    with user(prepared.store, "resetkeys", "~hits*", "~twelfth:*") as client:
        why = refused(prepared.backup, client, prepared.store)
        assert "a restore needs all keys, which" in why

        typed(prepared.store, why)
        assert 30 == restored(prepared.backup, client).count


def test_commands_that_only_staging_can_try_are_named_together(prepared: Prepared) -> None:
    """One message, one command to type."""
    with user(prepared.store, "-swapdb", "-flushdb") as client:
        why = refused(prepared.backup, client, prepared.store)
        assert "a restore needs SWAPDB, FLUSHDB, which" in why

        typed(prepared.store, why)
        assert 30 == restored(prepared.backup, client).count


def test_flush_that_is_refused_is_reported_and_made_up_for_by_the_next_restore(prepared: Prepared) -> None:
    """If a right is removed meanwhile, the restore succeeds, and reports the data that remains staged."""
    store, warned = prepared.store, list[str]()
    with user(store) as client:

        def forbid(_: int) -> None:
            change(store, "-flushdb")

        done = restored(prepared.backup, client, forbid, warned)
        assert (30, 2, 1, 3) == (done.count, done.replaced, len(warned), store.database(15).dbsize() - 2)
        assert warned[0].startswith("database 15 still has the replaced data: it could not be flushed: NOPERM")
        assert "redis-cli -n 15 FLUSHDB ASYNC" in warned[0]
        assert " FLUSHDB" in refused(prepared.backup, client, store)
        change(store, "+flushdb")
        assert 30 == restored(prepared.backup, client).count
    assert ["db0"] == [*store.client.info("keyspace")]


def test_flush_that_is_refused_after_a_failure_is_reported_too(prepared: Prepared) -> None:
    """The live data is unchanged."""
    store, warned = prepared.store, list[str]()
    with user(store) as client:

        def disturb(_: int) -> None:
            change(store, "-flushdb")
            store.client.set(LOCK, "another")

        with pytest.raises(LockLostError):
            restored(prepared.backup, client, disturb, warned)
    store.client.delete(LOCK, FENCE)

    assert (1, b"7") == (len(warned), store.client.get("hits"))
    assert warned[0].startswith("database 15 still has the loaded data: it could not be flushed: NOPERM")


def documented_rules(program: str) -> set[str]:
    """Return the ACL rules in a program's row of docs/redis.md, except those for keys."""
    page = (ROOT / "docs" / "redis.md").read_text("utf-8").replace("\\|", ":")
    row = next(line for line in page.splitlines() if line.startswith(f"| {program} |"))
    return {word.strip("`").replace(":", "|") for word in row.split() if "+" in word}


def rule_for(name: str) -> str:
    """Return the rule of an ACL that allows a command."""
    return f"+{name.lower().replace(' ', '|')}"


def test_rights_that_a_restore_needs_are_documented() -> None:
    """Each command, as a rule in the row of the restore."""
    assert set() == {rule_for(name) for name in rights.NEEDED} - documented_rules("restore")
