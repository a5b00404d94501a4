"""The manifest records what a backup omits; backup, verify and restore print it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from tests.twelfth_redis.backup.test_format import MANIFEST, packed, plain, run, verified, why
from tests.twelfth_redis.stores import DEBIAN, Store, digest, fill, restored, saved, serving
from twelfth_redis.backup.format import opening
from twelfth_redis.backup.omitted import MORE, MOST, Omitted, few, few_databases
from twelfth_redis.backup.reader import Verified, verify
from twelfth_redis.backup.server_info import ServerInfo, observe, observe_omitted
from twelfth_redis.backup.write import backup
from twelfth_redis.errors import RefusedError
from twelfth_redis.lock import owner

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = "#!lua name=mylib\nredis.register_function('f', function() return 1 end)"
OMITTED = Omitted({"3": 1200}, ("mylib",), ("ann", "bob"), ("search",), ())
WORDS = "database 3 (1,200 keys); function library mylib; ACL user ann, bob; module data outside of keys: search"


@pytest.fixture(scope="module", params=["valkey", "redis"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a server of each kind that has more than the keys of one database."""
    with serving(tmp_path_factory.mktemp("redis"), command=DEBIAN if request.param == "redis" else ()) as store:
        fill(store.client)
        store.database(3).mset({str(number): number for number in range(1200)})
        store.client.function_load(LIBRARY)
        for name in ("ann", "bob"):
            store.client.acl_setuser(name, enabled=True)
        yield store


@contextlib.contextmanager
def user(store: Store, *rules: str) -> Iterator[redis.Redis]:
    """Yield a client that may use everything except what the rules forbid."""
    words = ("ACL", "SETUSER", "u", "reset", "on", "nopass", "~*", "&*", "+@all", *rules)
    store.client.execute_command(*words)  # type: ignore[no-untyped-call]
    with redis.Redis(port=store.port, username="u", protocol=2, driver_info=None) as client:
        yield client
    store.client.acl_deluser("u")


def omitted(file: bytes) -> Omitted:
    """Return the omissions in the manifest of a backup."""
    found = verified(file).manifest.omitted
    assert found is not None
    return found


def program(store: Store, name: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run an admin process."""
    command, environment = [sys.executable, "-m", f"admin.{name}"], {"PATH": os.environ["PATH"], **store.environment}
    return subprocess.run(command, input=given, cwd=ROOT, env=environment, capture_output=True, timeout=20, check=False)


def test_everything_else_of_a_server_is_recorded(other: Store) -> None:
    """By name, and other databases with their numbers of keys, as seen from any of them."""
    found = omitted(saved(other.client))
    elsewhere = omitted(saved(other.database(3)))

    assert ({"3": 1200}, ("mylib",), ("ann", "bob"), (), ()) == tuple(vars(found).values())
    assert {"0": 29} == elsewhere.databases


def test_backup_verify_and_restore_print_it(other: Store) -> None:
    """On a line with the same start; and JSON has all of it."""
    made = program(other, "backup")
    shown, as_json = run(given=made.stdout), run("--json", given=made.stdout)
    done = program(other, "restore", made.stdout)
    words = "database 3 (1,200 keys); function library mylib; ACL user ann, bob"

    assert (0, 0, 0, 0) == (made.returncode, shown[0], as_json[0], done.returncode)
    assert f"backup: not in the backup: {words}\n" in made.stderr.decode()
    assert f"not in it   {words}\n" in shown[1]
    assert f"not in the backup: {words}\n" in done.stdout.decode()
    assert {"3": 1200} == json.loads(as_json[1])["omitted"]["databases"]


def test_restore_leaves_everything_else_alone(other: Store) -> None:
    """It replaces one database."""
    restored(saved(other.client), other.client)

    assert (1200, 1) == (other.database(3).dbsize(), len(other.client.function_list()))


def test_server_with_nothing_else_is_known_to_have_nothing(store: Store) -> None:
    """An empty list is not the same as an unknown one."""
    store.client.set("hits", 1)
    made = program(store, "backup")

    assert (Omitted(), 1) == (omitted(made.stdout), made.stderr.count(b"\n"))
    assert "not in it   nothing else existed\n" in run(given=made.stdout)[1]


@pytest.mark.parametrize(
    ("rule", "unknown"),
    [
        ("-info", {"databases", "modules"}),
        ("-function|list", {"function libraries"}),
        ("-function|dump", set()),
        ("-acl", {"ACL users"}),
        ("-@dangerous", {"databases", "modules", "ACL users"}),
    ],
)
def test_what_this_user_may_not_ask_is_recorded_as_unknown(other: Store, rule: str, unknown: set[str]) -> None:
    """The backup is made without it, and can be restored."""
    with user(other, rule) as client:
        file = saved(client)
    before = digest(other.client)
    other.client.flushdb()
    restored(file, other.client)

    assert (unknown, before) == ({*omitted(file).unknown}, digest(other.client))
    assert verified(file).manifest.payload == verified(saved(other.database(3))).manifest.payload


def test_no_functions_are_known_from_the_numbers_of_the_server(store: Store) -> None:
    """A user who may not list functions can see that there are none."""
    store.client.set("hits", 1)
    with user(store, "-function|list") as client:
        assert () == omitted(saved(client)).unknown


def test_cluster_is_refused_by_name_if_it_may_not_be_asked_what_it_is(tmp_path: Path) -> None:
    """Each of its nodes has only some of the keys."""
    with serving(tmp_path, "--cluster-enabled", "yes") as cluster:
        cluster.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]
        cluster.client.execute_command("ACL", "SETUSER", "default", "-info")  # type: ignore[no-untyped-call]
        done = program(cluster, "backup")

    assert (1, b"") == (done.returncode, done.stdout)
    assert b"this Redis is a cluster, which is unsupported" in done.stderr


def test_modules_that_are_part_of_the_server_are_none(store: Store) -> None:
    """Other modules may have indexes that DUMP does not contain."""
    server = replace(observe(store.client), modules=("search",))

    assert () == observe(store.client).modules
    assert ("search",) == observe_omitted(store.client, server).modules


def test_words_name_each_kind() -> None:
    """Few names of each are shown."""
    many = Omitted({str(number): number for number in range(7)}, unknown=("ACL users",))

    assert (WORDS, "") == (str(OMITTED), str(Omitted()))
    assert "database 0 (0 keys), 1 (1 keys), 2 (2 keys), 3 (3 keys), 4 (4 keys) and 2 more; unknown" in str(many)


def test_record_is_small_however_much_there_is(store: Store) -> None:
    """A longer manifest could not be read again."""
    names = [f"{number}{'x' * 1000}" for number in range(3000)]
    databases = dict.fromkeys(range(3000), 2)
    found = Omitted(few_databases(databases), few(names), few(names), few(names))
    manifest = replace(MANIFEST, omitted=found)

    assert (MOST + 1, MORE, 2 * (3000 - MOST)) == (len(found.functions), found.users[-1], found.databases[MORE])
    assert manifest == verified(packed(plain(manifest=manifest))).manifest
    assert len(opening(manifest)) < 100_000
    assert isinstance(observe(store.client), ServerInfo)


def test_file_of_the_old_format_is_read() -> None:
    """It does not record omissions, and the output shows that."""
    file = packed(plain())

    assert b'"format":1,' in plain()
    assert None is verified(file).manifest.omitted
    assert "not in it   not recorded by the release that made it" in "\n".join(verified(file).lines())


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"databases": {}},
        {"databases": [], "functions": [], "users": [], "modules": [], "unknown": []},
        {"databases": {"3": "x"}, "functions": [], "users": [], "modules": [], "unknown": []},
        {"databases": {}, "functions": [1], "users": [], "modules": [], "unknown": []},
        {"databases": {}, "functions": "ab", "users": [], "modules": [], "unknown": []},
        {"databases": {}, "functions": [], "users": [], "modules": [], "unknown": [], "more": []},
    ],
)
def test_record_of_another_shape_is_damage(wrong: object) -> None:
    """Never an exception of Python."""
    good = opening(replace(MANIFEST, omitted=Omitted()))
    fields = json.loads(good[good.index(b"{") :])
    text = json.dumps(fields | {"omitted": wrong}, separators=(",", ":")).encode()
    echo = b"*2\r\n$4\r\nECHO\r\n$%d\r\n%b\r\n" % (len(text), text)

    assert "its manifest is damaged. Try: use another copy of the file" == why(packed(echo + plain()))


def test_names_cannot_write_to_the_terminal(store: Store) -> None:
    """The name of a user may be any text."""
    store.client.execute_command("ACL", "SETUSER", "\x1b]0;x\x07")  # type: ignore[no-untyped-call]
    made = program(store, "backup")
    shown = run(given=made.stdout)
    store.client.acl_deluser("\x1b]0;x\x07")

    assert (False, False) == (b"\x1b" in made.stderr, "\x1b" in shown[1])
    assert r"ACL user \x1b]0;x\x07" in shown[1]


def test_key_that_may_not_be_read_makes_no_backup(other: Store) -> None:
    """A restore replaces all keys, so a missing one would be lost; it is named."""
    with (
        user(other, "resetkeys", "~string*", "~twelfth:*") as client,
        pytest.raises(
            RefusedError,
            match=r"^cannot back up all keys: Redis refuses (MEMORY USAGE|DUMP|PEXPIRETIME) of the key '.+\. Try: ",
        ),
    ):
        saved(client)


def test_verified_and_written_agree(other: Store) -> None:
    """The program that writes prints what the file says."""
    stream = io.BytesIO()
    done = backup(other.client, stream, owner("backup", {}), lambda _: None)
    found: Verified = verify(io.BytesIO(stream.getvalue()))

    assert done.omitted == found.manifest.omitted
