"""A process that is checked says that it is leaving before it stops taking requests."""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from service.app import CHECKED_SECONDS, Liveness
from tests.real_redis import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.service.conftest import Process

NOWHERE = {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": "1"}


def test_who_is_not_checked_leaves_at_once() -> None:
    """Nobody ever asked, or not for a while: there is no door that would have to be told. Who asks then is told."""
    moment = [0.0]
    never, lately, once = (Liveness(lambda: moment[0]) for _ in range(3))
    once.ask()
    moment[0] = CHECKED_SECONDS
    lately.ask()

    assert [False, True, False] == [never.leave(), lately.leave(), once.leave()]
    assert [False] * 3 == [never.ask(), lately.ask(), once.ask()]


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


def test_every_check_is_answered_until_nobody_listens(serve: Callable[..., Process]) -> None:
    """First that it lives, then that it leaves, and none breaks off."""
    process = serve(NOWHERE)
    statuses = [status(process, "/healthz")]
    process.signal(signal.SIGTERM)
    with contextlib.suppress(ConnectionError):
        statuses.extend(status(process, "/healthz") for _ in itertools.count())

    assert [200, 404] == sorted(set(statuses))
    assert statuses == sorted(statuses)
    assert 0 == process.end()[0]


def status(process: Process, path: str, method: str = "GET") -> int:
    """Return the status that a request on a connection of its own is answered with."""
    with socket.create_connection(("127.0.0.1", process.port), timeout=10) as connection:
        connection.sendall(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        return int(connection.makefile("rb").readline().split()[1])
