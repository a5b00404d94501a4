"""Redis behind TLS: hits are counted on a trusted server, and no other server gets a command."""

from __future__ import annotations

import signal
import ssl
from typing import TYPE_CHECKING

import pytest

from service import counter
from service.counter import open_counter
from tests.real_redis import RealRedis, eventually
from tests.tls import Authority, Terminator, authority
from twelfth_redis.errors import UnavailableError
from twelfth_redis.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.service.conftest import Process

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give an authority."""
    return authority(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """Give a Redis for all tests of the module, with a user `u` whose password is `p`."""
    server = RealRedis(tmp_path_factory.mktemp("redis"), "--user", "u", "on", ">p", "~*", "&*", "+@all")
    yield server
    server.client.close()
    server.kill()


@pytest.fixture(autouse=True)
def in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a connection of this process more time: another test checks how long it takes."""
    monkeypatch.setattr(counter, "CONNECT_SECONDS", 5.0)
    monkeypatch.setattr(counter, "REQUEST_SECONDS", 9.0)


@pytest.mark.parametrize(("user", "database"), [("", 0), ("", 1), ("u:p@", 0), ("u:p@", 1)])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: str(version.name))
def test_each_new_connection_counts(
    trusted: Authority, behind: RealRedis, version: ssl.TLSVersion, user: str, database: int
) -> None:
    """With a password or without, whatever the server sends by itself after the handshake."""
    with Terminator(behind.port, trusted.signs.issue_cert("127.0.0.1"), version) as terminator:
        settings = read_settings(trusted.environment(terminator.port, user=user, database=database))
        before = open_counter(settings).value()
        numbers = [open_counter(settings).hit() for _ in range(3)]

    assert list(range(before + 1, before + 4)) == numbers


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: str(version.name))
def test_no_visit_is_refused(
    serve: Callable[..., Process], trusted: Authority, behind: RealRedis, version: ssl.TLSVersion
) -> None:
    """The process itself, without a password; only a busy machine may be late with the first connection."""
    with Terminator(behind.port, trusted.signs.issue_cert("127.0.0.1"), version) as terminator:
        process = serve(dict(trusted.environment(terminator.port)), "--threads", "1")
        eventually(lambda: 200 == process.ask().status)
        statuses = [process.ask().status for _ in range(5)]
        process.signal(signal.SIGTERM)
        errors = {str(line.get("reason", "")) for line in process.end()[1]}

    assert [200] * 5 == statuses
    assert errors <= {"", "Timeout connecting to server"}


@pytest.mark.parametrize("name", ["127.0.0.2", "elsewhere.example"])
def test_another_host_is_not_spoken_to(trusted: Authority, behind: RealRedis, name: str) -> None:
    """Its certificate is by the right authority, but not for the host of the address."""
    with Terminator(behind.port, trusted.signs.issue_cert(name), ssl.TLSVersion.TLSv1_3) as terminator:
        counter = open_counter(read_settings(trusted.environment(terminator.port)))

        with pytest.raises(UnavailableError, match="certificate verify failed"):
            counter.hit()


def test_an_unknown_authority_is_not_trusted(tmp_path: Path, trusted: Authority, behind: RealRedis) -> None:
    """Nor is the machine's own list of authorities enough where the address names none."""
    stranger = authority(tmp_path)
    with Terminator(behind.port, stranger.signs.issue_cert("127.0.0.1"), ssl.TLSVersion.TLSv1_3) as terminator:
        unnamed = {"REDIS_URL": f"rediss://127.0.0.1:{terminator.port}"}
        for environment in (trusted.environment(terminator.port), unnamed):
            with pytest.raises(UnavailableError, match="certificate verify failed"):
                open_counter(read_settings(environment)).hit()
