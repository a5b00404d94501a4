"""A real Redis, the application called in-process, and the service as a separate process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import pytest

from service.app import App
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
    """The application, called without a network."""

    def __init__(self, counter: Counter, required: tuple[str, ...] = ()) -> None:
        self.app = App(counter, required, "one")

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
        body = b"".join(self.app(environ, started)).decode()
        return Reply(int(responses[0][0][:3]), dict(responses[0][1]), body)


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
        """Return the reply to one GET on a separate connection."""
        asked = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            asked.request("GET", path)
            reply = asked.getresponse()
            return Reply(reply.status, dict(reply.getheaders()), reply.read().decode())
        finally:
            asked.close()

    def begin(self, count: int, path: str) -> list[HTTPConnection]:
        """Return open connections, each waiting for the reply to its request."""
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
