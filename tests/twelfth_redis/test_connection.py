"""Connections to Redis: through TLS, within time limits, and refused if the address is wrong."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from service.counter import CONNECT_SECONDS
from tests.real_redis import eventually
from tests.tls import Authority, Terminator, authority
from tests.twelfth_redis import forked_program
from tests.twelfth_redis.stores import Store, saved, serving
from twelfth_redis import connection
from twelfth_redis.connection import PATIENCE_SECONDS, connect, connect_within, make_client
from twelfth_redis.errors import RefusedError, UnavailableError
from twelfth_redis.settings import Settings

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PROGRAMS = ("reset", "migrate", "backup", "restore", "console")
MORE_THAN_A_RECORD = os.urandom(1 << 20)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a server with a password for its user `u`, and no other users."""
    users = ("--user", "u", "on", ">p", "~*", "&*", "+@all")
    with serving(tmp_path_factory.mktemp("redis"), *users) as store:
        yield store


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Yield an authority."""
    return authority(tmp_path_factory.mktemp("trusted"))


def run(program: str, environment: Mapping[str, str], backup: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run an admin process until it exits."""
    given = {"restore": backup, "console": b"print(counter.hit())"}.get(program, b"")
    return forked_program.run(program, environment=environment, stdin=given)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    "version",
    [pytest.param(ssl.TLSVersion.TLSv1_2, marks=pytest.mark.thorough), ssl.TLSVersion.TLSv1_3],
    ids=["TLS 1.2", "TLS 1.3"],
)
def test_every_admin_process_works_through_tls(
    guarded: Store, trusted: Authority, version: ssl.TLSVersion, program: str
) -> None:
    """Without a password, and with replies larger than one record of TLS."""
    guarded.client.flushall()
    guarded.client.set("large", MORE_THAN_A_RECORD)
    backup = saved(guarded.client)
    with Terminator(guarded.port, trusted.signs.issue_cert("127.0.0.1"), version) as terminator:
        done = run(program, trusted.environment(terminator.port), backup)

    assert (0, True) == (done.returncode, done.stdout != b""), done.stderr
    assert MORE_THAN_A_RECORD == guarded.client.get("large")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("wrong", ["host", "authority"])
def test_no_admin_process_trusts_anybody(
    tmp_path: Path, guarded: Store, trusted: Authority, wrong: str, program: str
) -> None:
    """A certificate for another host, or by another authority: the reason is reported, and nothing is changed."""
    guarded.client.flushall()
    signs = trusted if wrong == "host" else authority(tmp_path)
    certificate = signs.signs.issue_cert("elsewhere.example" if wrong == "host" else "127.0.0.1")
    with Terminator(guarded.port, certificate, ssl.TLSVersion.TLSv1_3) as terminator:
        done = run(program, trusted.environment(terminator.port), saved(guarded.client))

    assert (1, True) == (done.returncode, b"certificate verify failed" in done.stderr)
    assert 0 == guarded.client.dbsize()


def test_a_connection_may_take_longer_than_that_of_a_visit(guarded: Store, trusted: Authority) -> None:
    """Bulk work that has started is not aborted on a busy machine."""
    certificate = trusted.signs.issue_cert("127.0.0.1")
    with Terminator(guarded.port, certificate, ssl.TLSVersion.TLSv1_3, pause=CONNECT_SECONDS + 0.1) as terminator:
        client = connect(trusted.environment(terminator.port))
        client.connection_pool.disconnect()

        assert client.ping()


@pytest.mark.parametrize(
    ("user", "said", "corrected"),
    [
        ("u:wrong@", "WRONGPASS", "the user and the password"),
        (":unwanted@", "ERR AUTH <password> called without any password configured", "the user and the password"),
        ("u:p@", "ERR DB index is out of range", "the number of the database"),
    ],
)
def test_what_time_does_not_cure_is_told_at_once(guarded: Store, user: str, said: str, corrected: str) -> None:
    """With the message of Redis, and what to correct; waiting would not help."""
    began = time.monotonic()

    with pytest.raises(RefusedError, match=f"^cannot use redis://.*: {said}.* Try: correct {corrected} in REDIS_URL$"):
        connect({"REDIS_URL": f"redis://{user}127.0.0.1:{guarded.port}/99"})
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_a_missing_password_is_told_at_once(tmp_path: Path) -> None:
    """Redis requires one, and the address has none."""
    with serving(tmp_path, "--user", "u", "on", ">p", "~*", "&*", "+@all") as store:
        store.client.config_set("requirepass", "p")
        with pytest.raises(RefusedError, match="NOAUTH Authentication required"):
            connect(store.url())


def test_a_file_of_tls_that_is_not_there_is_told_at_once(trusted: Authority, guarded: Store) -> None:
    """Not like an unavailable Redis."""
    with Terminator(guarded.port, trusted.signs.issue_cert("127.0.0.1"), ssl.TLSVersion.TLSv1_3) as terminator:
        url = f"rediss://127.0.0.1:{terminator.port}?ssl_ca_certs=/nowhere.pem"
        with pytest.raises(
            RefusedError, match=r"a file that the address names .ssl_ca_certs.*is missing. Try: correct REDIS"
        ):
            connect({"REDIS_URL": url})


def test_a_name_that_does_not_resolve_in_time_is_given_up() -> None:
    """Name resolution has no timeout; waiting for it has one."""
    released = threading.Event()

    def resolve() -> socket.socket:
        released.wait()
        raise OSError

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        connect_within(resolve, 0.05)
    released.set()

    assert time.monotonic() - began < 1


def test_a_connection_that_comes_too_late_is_closed() -> None:
    """No one would use it."""
    near, far = socket.socketpair()
    released = threading.Event()

    def connect() -> socket.socket:
        released.wait()
        return near

    with far, pytest.raises(TimeoutError):
        connect_within(connect, 0.01)
    released.set()

    eventually(lambda: -1 == near.fileno())


def test_tls_options_reach_the_connection() -> None:
    """A flag of the address becomes a Boolean."""
    settings = Settings(tls=True, tls_options=(("ssl_check_hostname", "false"),))
    client = make_client(settings, connect_seconds=1, reply_seconds=1)

    assert client.connection_pool.connection_kwargs["ssl_check_hostname"] is False


def test_server_that_is_stopped_is_told_before_a_minute_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel accepts connections, but nothing answers."""
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        started = time.monotonic()
        with pytest.raises(UnavailableError, match=r"does not answer: Timeout reading from .*\. Try: invoke status$"):
            connect({"REDIS_URL": f"redis://127.0.0.1:{stopped.getsockname()[1]}"})

    assert time.monotonic() - started < connection.REPLY_SECONDS / 2
