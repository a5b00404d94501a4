"""A process that a proxy checks fails these checks before it stops accepting requests."""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
import time
from typing import TYPE_CHECKING

import fakeredis
import pytest

from service.app import CHECKED_SECONDS
from service.counter import Counter
from tests.real_redis import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.service.conftest import Application, Process

NOWHERE = {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": "1"}


def test_a_process_that_is_not_checked_stops_at_once(
    application: type[Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no proxy that has to notice it if there was no check, or none for a while."""
    moment = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    never, before, lately = (application(Counter(fakeredis.FakeRedis())) for _ in range(3))
    before.ask("/healthz")
    moment = CHECKED_SECONDS
    lately.ask("/healthz")

    assert [False, False, True] == [each.app.stop() for each in (never, before, lately)]
    assert [404] * 3 == [each.ask("/healthz").status for each in (never, before, lately)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_process_that_is_checked_serves_on_while_it_says_that_it_leaves(
    serve: Callable[..., Process], method: str
) -> None:
    """After SIGTERM its check is 404, new connections are accepted and answered, and then it stops, well in time."""
    process = serve(NOWHERE)
    before = status(process, "/healthz", method)
    process.signal(signal.SIGTERM)
    began = time.monotonic()
    eventually(lambda: 404 == status(process, "/healthz", method))
    served = [status(process, "/"), status(process, "/nowhere"), status(process, "/healthz", method)]
    code, lines = process.end()

    assert (200, [503, 404, 404]) == (before, served)
    assert (0, 0) == (code, lines[-1]["unfinished"])
    assert time.monotonic() - began < 5


def test_checks_are_answered_until_the_process_exits(serve: Callable[..., Process]) -> None:
    """First with 200, then with 404; a connection that the exit cuts off carries a check, as no client is left."""
    process = serve(NOWHERE)
    statuses = [status(process, "/healthz")]
    process.signal(signal.SIGTERM)
    with contextlib.suppress(ConnectionError):
        statuses.extend(status(process, "/healthz") for _ in itertools.count())

    assert [200, 404] == sorted(set(statuses))
    assert statuses == sorted(statuses)
    assert 0 == process.end()[0]


def status(process: Process, path: str, method: str = "GET") -> int:
    """Return the status that a request on a new connection is answered with."""
    with socket.create_connection(("127.0.0.1", process.port), timeout=10) as connection:
        connection.sendall(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        if not (line := connection.makefile("rb").readline()):
            raise ConnectionResetError
        return int(line.split()[1])
