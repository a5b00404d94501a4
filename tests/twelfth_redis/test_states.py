"""A temporary state of a server is not a wrong address: reading works if allowed, and errors name the state."""

from __future__ import annotations

import threading
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
import redis

from tests.twelfth_redis import forked_program
from tests.twelfth_redis.backup.test_format import packed, plain
from tests.twelfth_redis.states import READABLE, SILENT, STATES, asking_once
from tests.twelfth_redis.stores import DEBIAN, Store, contents, digest, fill, saved, serving
from twelfth_redis import connection
from twelfth_redis.backup.reader import verify
from twelfth_redis.connection import PASSING, code, connect, is_lasting, redis_errors
from twelfth_redis.errors import RedisToolError, RefusedError, UnavailableError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = (("backup",), ("migrate", "--status"), ("migrate",), ("reset",), ("restore",))
READING = PROGRAMS[:2]


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a server with some data."""
    with serving(tmp_path_factory.mktemp("valkey")) as store:
        fill(store.client)
        yield store


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield one of another kind."""
    with serving(tmp_path_factory.mktemp("redis"), command=DEBIAN) as store:
        fill(store.client)
        yield store


@pytest.fixture(params=["valkey", "debian"])
def server(request: pytest.FixtureRequest) -> Store:
    """Yield either."""
    store = request.getfixturevalue(request.param)
    assert isinstance(store, Store)
    return store


def run(store: Store, program: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run an admin process that does not wait for a state to end."""
    return forked_program.run(program, *words, environment=store.environment, stdin=given, patience=0.2)


@pytest.mark.parametrize("state", READABLE)
def test_backup_is_made_in_every_state_in_which_data_can_be_read(server: Store, state: str) -> None:
    """With all keys; this is when a backup is needed most."""
    with STATES[state](server):
        before = contents(server.client)
        done = run(server, "backup")

    assert (0, len(before)) == (done.returncode, verify(BytesIO(done.stdout)).trailer.count), done.stderr


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_every_program_names_the_state_and_accuses_no_address(
    valkey: Store, program: tuple[str, ...], state: str
) -> None:
    """One line, exit 1, and the data is unchanged; programs that only read work if the state allows it."""
    before, file = digest(valkey.client), saved(valkey.client)
    with STATES[state](valkey):
        done = run(valkey, *program, given=file if program == ("restore",) else b"")
    said = done.stderr.decode()

    if state in READABLE and program in READING:
        assert (0, True) == (done.returncode, "REDIS_URL" not in said), said
        return
    replica = state == "READONLY"
    assert (1, 1, replica) == (done.returncode, said.count("\n"), "REDIS_URL" in said), said
    assert (state in said or "is a replica" in said, True) == (True, "Try: " in said), said
    assert before == digest(valkey.client)


@pytest.mark.parametrize("state", SILENT)
def test_state_that_passes_soon_is_waited_for(server: Store, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program connects once it has ended."""
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 20)
    connected: list[object] = []

    def wait() -> None:
        with connect(server.environment) as client:
            connected.append(client.ping())

    with STATES[state](server):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.3)
        during = [*connected]
    thread.join(20)

    assert ([], [True]) == (during, connected)


def test_user_without_the_right_to_ping_is_connected(server: Store) -> None:
    """No program needs that command."""
    server.client.acl_setuser("quiet", enabled=True, nopass=True, keys="*", categories=["+@all"], commands=["-ping"])
    try:
        url = f"redis://quiet@127.0.0.1:{server.port}"
        assert connect({"REDIS_URL": url}).exists("hits")
    finally:
        server.client.acl_deluser("quiet")


def test_cluster_that_is_down_is_named_as_a_cluster(tmp_path: Path) -> None:
    """In any state: no program supports it, and its address is right."""
    with serving(tmp_path, "--cluster-enabled", "yes") as cluster:
        for program in ("backup", "reset", "restore"):
            done = run(cluster, program, given=packed(plain()))
            assert (1, True, False) == (
                done.returncode,
                b"is a cluster" in done.stderr,
                b"REDIS_URL" in done.stderr,
            ), done.stderr


REFUSALS = {
    **dict.fromkeys(("WRONGTYPE", "NOPERM", "NOAUTH", "WRONGPASS", "ERR", "EXECABORT", "CROSSSLOT"), True),
    **dict.fromkeys(sorted(PASSING), False),  # in one order for all workers
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_is_lasting_or_passing_wherever_it_comes_from(valkey: Store, refusal: str) -> None:
    """From a command, a pipeline, or a connection that reads replies itself: redis-py reports each differently."""
    script = f"return redis.error_reply('{refusal} words')"
    client = asking_once(valkey)
    with pytest.raises(redis.RedisError) as alone:
        client.eval(script, 0)
    pipe = client.pipeline(transaction=False)
    pipe.eval(script, 0)
    with pytest.raises(redis.RedisError) as within:
        pipe.execute()
    seen = (alone.value, within.value, redis.ResponseError(f"{refusal} words"))

    assert [(refusal, REFUSALS[refusal])] * 3 == [(code(error), is_lasting(error)) for error in seen]
    kind: type[RedisToolError] = RefusedError if REFUSALS[refusal] else UnavailableError
    for error in seen:
        with pytest.raises(kind, match=rf"{refusal} words( \(EVAL\))?\. Try: "), redis_errors():
            raise error
