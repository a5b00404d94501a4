"""A real Redis, the application called in-process, and the service as a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from weakref import finalize
from wsgiref.util import setup_testing_defaults

import pytest

from service.app import Liveness, create_app
from service.json_log import JsonLog
from tests.real_redis import RealRedis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import StartResponse

    from service.counter import Counter

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str


class Application:
    """The application, asked without a network; `lines` is what it logged."""

    def __init__(self, counter: Counter, needed: tuple[str, ...] = ()) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        self._log = JsonLog(self._file.fileno(), "one")
        self._app = create_app(counter, self._log, needed, Liveness())
        finalize(self, _close, self._log, self._file)

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> Reply:
        """Return the reply to one request; `headers` have underscores for dashes."""
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "REQUEST_URI": path}
        setup_testing_defaults(environ)
        environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        responses: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, fields: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            responses.append((status, fields))
            return io.BytesIO().write

        started: StartResponse = start
        body = b"".join(self._app(environ, started)).decode()
        return Reply(int(responses[0][0][:3]), dict(responses[0][1]), body)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the log, which ends with that."""
        self._log.close()
        self._file.seek(0)
        return [json.loads(line) for line in self._file]


def _close(log: JsonLog, file: IO[bytes]) -> None:
    log.close()
    file.close()


class Process:
    """`python -m service` on a port of the kernel's choice."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service", "--host", "127.0.0.1", "--port", "0", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.started = json.loads(self._process.stdout.readline())
        self.port = int(self.started["port"])
        self._connections: list[HTTPConnection] = []

    @property
    def resident(self) -> int:
        """Return how much memory it holds, in KiB."""
        command = ["ps", "-o", "rss=", "-p", str(self._process.pid)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Give each line of the log as it is written, until the process ends."""
        assert self._process.stdout is not None
        yield from map(json.loads, self._process.stdout)

    def ask(self, path: str = "/") -> Reply:
        """Return the reply to one GET on a connection of its own."""
        asked = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            asked.request("GET", path)
            reply = asked.getresponse()
            return Reply(reply.status, dict(reply.getheaders()), reply.read().decode())
        finally:
            asked.close()

    def begin(self, count: int, path: str) -> list[HTTPConnection]:
        """Return connections that are there and have asked, each waiting for its reply."""
        connections = [HTTPConnection("127.0.0.1", self.port, timeout=10) for _ in range(count)]
        for connection in connections:
            connection.request("GET", path)
        self._connections.extend(connections)
        return connections

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Return exit code and the rest of the log, once it has ended by itself."""
        said, _ = self._process.communicate(timeout=12)
        return self._process.returncode, [json.loads(line) for line in said.splitlines()]

    def wait(self) -> int:
        """Return its exit code, once it has ended by itself with nobody reading its log."""
        return self._process.wait(timeout=12)

    def kill(self) -> None:
        """End it where the test did not."""
        self._process.kill()
        self._process.communicate()
        for each in self._connections:
            each.close()


@pytest.fixture
def real_redis(tmp_path: Path) -> Iterator[RealRedis]:
    """Give a Redis that is this test's alone."""
    server = RealRedis(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def serve() -> Iterator[Callable[..., Process]]:
    """Give a way to start services, which end with the test."""
    started: list[Process] = []

    def start(environment: dict[str, str], *arguments: str) -> Process:
        started.append(Process(environment, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def application() -> type[Application]:
    """Give the application around a counter."""
    return Application
