"""The rights of each program (docs/redis.md): it works with exactly those, and not without any of them."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from service.app import ready
from service.counter import open_counter
from service.schema import MIGRATIONS
from tests.conftest import require_program
from tests.faults import Job, Started
from tests.sample import FULL
from tests.twelfth_redis import stores
from tests.twelfth_redis.stores import DEBIAN, LOCK, Store, serving
from twelfth_redis.backup import dump, rights
from twelfth_redis.backup.reader import verify
from twelfth_redis.connection import redis_errors
from twelfth_redis.errors import RedisToolError
from twelfth_redis.lock import hold_lock
from twelfth_redis.schema.revisions import required
from twelfth_redis.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
BATCHED = """MATCH = "hits*"


def each(keys, read, write):
    for key in keys:
        write.set(key, read.get(key))


each_down = each
"""
REFUSED = "def up(read, write):\n    write.set('hits', 1, get=True, nx=True, ex=0)\n"
LIBRARY = "#!lua name=mylib\nredis.register_function('f', function() return 1 end)"


def rows() -> dict[str, tuple[str, ...]]:
    """Return the rights of each program: the words of its row that are ACL rules."""
    found = re.findall(r"^\| ([a-z -]+) \| (.*) \|$", (ROOT / "docs" / "redis.md").read_text("utf-8"), re.MULTILINE)
    rules = {name: tuple(re.findall(r"[+~][^\s`]+", cells.replace("\\|", "|"))) for name, cells in found}
    return {name: words for name, words in rules.items() if words}


RIGHTS = rows()


@pytest.fixture(scope="module", params=[(), DEBIAN], ids=["valkey", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield the product's server, and an older one of another kind."""
    if request.param:
        require_program(request.param[0])
    with serving(tmp_path_factory.mktemp("redis"), command=request.param) as store:
        yield store


def allow(store: Store, *rules: str) -> str:
    """Give a user exactly these rights, and return the address for it."""
    store.client.execute_command("ACL", "SETUSER", "u", "reset", "on", ">p", *rules)  # type: ignore[no-untyped-call]
    store.client.script_flush()
    return f"redis://u:p@127.0.0.1:{store.port}/0"


def worker(_store: Store, url: str, _directory: Path) -> object:
    """Count a hit and check readiness."""
    counter = open_counter(read_settings({"REDIS_URL": url}))
    answer = ready(counter, ())
    return counter.hit(), answer.status, answer.value


def admin(program: str, *arguments: str) -> Callable[[Store, str, Path], object]:
    """Return how an admin process exits, and whether it leaves the lock."""

    def run(store: Store, url: str, directory: Path) -> object:
        job = Job(program, arguments, {"REDIS_URL": url}, directory, lease=0.2)  # type: ignore[arg-type]
        outcome = Started(job).outcome()
        return outcome, store.client.exists(LOCK)

    return run


def migrate(store: Store, url: str, directory: Path) -> object:
    """Migrate with a batch that takes longer than the lock's lease, be refused, revert, and abandon."""
    refused = directory / "0004_refused.py"
    refused.unlink(missing_ok=True)
    outcomes = [admin("migrate", "--throttle", "4")(store, url, directory)]
    refused.write_text(REFUSED)
    outcomes.append(admin("migrate")(store, url, directory))
    refused.unlink()
    outcomes.append(admin("migrate", "--to", "0")(store, url, directory))
    store.client.set("twelfth:migrating", '{"revision": "0003"}')
    return [*outcomes, admin("migrate", "--abandon", "3")(store, url, directory)]


def signed_in(url: str) -> redis.Redis:
    """Return a client with the user's rights."""
    return redis.Redis.from_url(url, protocol=2, driver_info=None)


def backup(store: Store, url: str, _directory: Path) -> object:
    """Back up all types of data, small and large; return the manifest without the time."""
    stores.fill(store.client)
    store.client.function_load(LIBRARY, replace=True)
    with pytest.MonkeyPatch.context() as patch, redis_errors(), signed_in(url) as client:
        little = stores.saved(client)
        patch.setattr(dump, "WHOLE_KEYS", 0)
        patch.setattr(dump, "PAGE_BYTES", 1)
        found = [verify(io.BytesIO(file)) for file in (little, stores.saved(client))]
    return [(each.trailer.count, replace(each.manifest, time="", memory=0)) for each in found]


def restore(store: Store, url: str, _directory: Path) -> object:
    """Back up and restore, long enough for the lock to be renewed."""
    stores.fill(store.client)
    file = stores.saved(store.client)
    with pytest.MonkeyPatch.context() as patch, redis_errors(), signed_in(url) as client:
        patch.setitem(hold_lock.__wrapped__.__kwdefaults__, "lease", 0.6)  # type: ignore[attr-defined]
        return stores.restored(file, client, lambda _: time.sleep(0.3)).count


PROGRAMS: dict[str, Callable[[Store, str, Path], object]] = {
    "worker": worker,
    "migrate --status": admin("migrate", "--status"),
    "migrate": migrate,
    "reset": admin("reset"),
    "backup": backup,
    "restore": restore,
}


def outcome(store: Store, directory: Path, program: str, *rules: str) -> object:
    """Return the outcome of a program with these rights, always on the same data."""
    store.client.flushall()
    store.client.mset({"hits": 41, "hits:since": "2020-01-01T00:00:00+00:00"})
    if program in {"worker", "backup"}:
        store.client.hset("twelfth:migrations", mapping=dict.fromkeys(required(MIGRATIONS), "{}"))
        store.client.set("twelfth:migrating", '{"revision": "0003"}')
    url = allow(store, *rules)
    try:
        return PROGRAMS[program](store, url, directory)
    except (RedisToolError, redis.RedisError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Yield the shipped migrations, and one that processes many keys."""
    for path in MIGRATIONS.glob("0*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "0003_batched.py").write_text(BATCHED)
    return tmp_path


@pytest.mark.parametrize("program", PROGRAMS)
def test_program_works_with_exactly_the_rights_of_its_row(shared: Store, folder: Path, program: str) -> None:
    """Like with all rights."""
    with_all = outcome(shared, folder, program, "~*", "+@all")
    with_those = outcome(shared, folder, program, *RIGHTS[program])

    assert with_all == with_those
    assert "Error" not in str(with_all).replace("ResponseError", "")


@pytest.mark.thorough
@pytest.mark.parametrize(("program", "right"), [(name, right) for name in PROGRAMS for right in RIGHTS[name]])
def test_no_right_of_a_row_is_given_in_vain(shared: Store, folder: Path, program: str, right: str) -> None:
    """Without any one of them something is refused."""
    if shared.client.info("server").get("server_name") != "valkey" and not FULL:
        pytest.skip("TWELFTH_SCENARIOS=full asks the older server too")
    less = [each for each in RIGHTS[program] if each != right]

    assert outcome(shared, folder, program, *RIGHTS[program]) != outcome(shared, folder, program, *less)


def test_every_program_has_a_row() -> None:
    """And the rights of a restore are those that it tries."""
    needed = {f"+{name.lower().replace(' ', '|')}" for name in rights.NEEDED}

    assert set(PROGRAMS) == set(RIGHTS)
    assert needed | {"~*"} == set(RIGHTS["restore"])
