"""A backup needs no command that it does not use, and names a command that is refused."""

from __future__ import annotations

import gc
import shutil
import warnings
from typing import TYPE_CHECKING, Literal

import pytest
import redis

from tests.twelfth_redis.backup.test_format import verified
from tests.twelfth_redis.backup.test_omitted import user
from tests.twelfth_redis.backup.test_rights import documented_rules, rule_for
from tests.twelfth_redis.stores import DEBIAN, FAR, Store, fill, saved, serving
from twelfth_redis.backup import dump
from twelfth_redis.connection import redis_errors
from twelfth_redis.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS: dict[str, tuple[str, ...]] = {"valkey": (), "redis": DEBIAN}
NEEDED = ("WATCH", "EXISTS", "DBSIZE", "EVAL", "SCAN", "HKEYS", "MEMORY USAGE", "DUMP", "PEXPIRETIME")
"""Every backup of data uses these, the last one if some of it expires."""
SMALL = ("UNWATCH",)
"""One of little data uses this too."""
PAGED = ("GET", "MULTI", "EXEC")
"""One of much data, or with large values, uses these too."""
OPTIONAL = ("INFO", "FUNCTION DUMP", "FUNCTION LIST", "ACL USERS")
"""It tries these, and does without."""
Size = Literal["small", "paged"]


@pytest.fixture(scope="module", params=KINDS)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a server of each kind with data, some of it large."""
    with serving(tmp_path_factory.mktemp("redis"), command=KINDS[request.param]) as store:
        fill(store.client)
        store.client.set("large", b"x" * (2 << 20), pxat=FAR)
        store.client.save()
        yield store


@pytest.fixture(params=["small", "paged"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Size:
    """Treat the data as small, or as large."""
    paged = request.param == "paged"
    if paged:
        monkeypatch.setattr(dump, "WHOLE_KEYS", 0)
    return "paged" if paged else "small"


def needed(size: Size) -> tuple[str, ...]:
    """Return the commands that a backup uses."""
    return (*NEEDED, *(PAGED if size == "paged" else SMALL))


def rule(name: str) -> str:
    """Return a command as ACL names it."""
    return name.lower().replace(" ", "|")


def made_or_refused(client: redis.Redis, name: str, size: Size, count: int, remedies: tuple[str, ...]) -> None:
    """Make a backup without a command: it has all keys, or names the command and writes nothing."""
    if name in needed(size):
        with pytest.raises(RefusedError) as refused, redis_errors():
            saved(client)
        why, _, remedy = str(refused.value).partition(". Try: ")
        assert name.split(maxsplit=1)[0] in why.upper()
        assert remedy.startswith(remedies)
        del refused
        with warnings.catch_warnings():  # a pipeline of redis-py connects again when it is deleted, for its UNWATCH
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    else:
        with redis_errors():
            assert count == verified(saved(client)).trailer.count


def test_list_of_commands_is_what_a_backup_uses(data: Store, size: Size) -> None:
    """According to the server's statistics."""
    with user(data) as client:
        data.client.config_resetstat()
        saved(client)
        used = {name.removeprefix("cmdstat_") for name in data.client.info("commandstats")}

    assert {rule(name) for name in (*needed(size), *OPTIONAL)} == used - {"config|resetstat", "auth"}


@pytest.mark.parametrize("name", [*NEEDED, *SMALL, *PAGED, *OPTIONAL, "PING", "CLIENT", "COMMAND"])
def test_command_that_the_user_may_not_run_is_done_without_or_named(data: Store, size: Size, name: str) -> None:
    """All keys or no backup."""
    with user(data, f"-{rule(name)}") as client:
        remedies = ("redis-cli ACL SETUSER ", "redis-cli ACL LOG 1")
        made_or_refused(client, name, size, data.client.dbsize(), remedies)


@pytest.mark.parametrize("name", [*NEEDED, *SMALL, *PAGED, *OPTIONAL, "PING", "CLIENT", "COMMAND"])
def test_command_that_was_renamed_is_done_without_or_named(data: Store, size: Size, name: str, tmp_path: Path) -> None:
    """The same for renamed commands, which hardening guides suggest."""
    shutil.copy(data.directory / "dump.rdb", tmp_path)
    command = DEBIAN if data.client.info("server").get("server_name") is None else ()
    if name == "PING":
        return  # what waits for a server in these tests needs it
    renamed = ("--rename-command", name.split(maxsplit=1)[0], "")
    with (
        serving(tmp_path, "--appendonly", "no", *renamed, command=command) as store,
        redis.Redis(port=store.port, protocol=2, driver_info=None) as client,
    ):
        made_or_refused(client, name, size, data.client.dbsize(), ("remove its rename-command",))


def test_rights_that_a_backup_needs_are_documented() -> None:
    """Each command, as a rule in the row of the backup."""
    rules = {rule_for(name) for name in (*NEEDED, *SMALL, *PAGED, *OPTIONAL)}

    assert set() == rules - documented_rules("backup")
