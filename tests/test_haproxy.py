"""What the door promises, with the real HAProxy and its real settings before workers of the test's own."""

from __future__ import annotations

import contextlib
import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.conftest import make_project, require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Project

HEADERS_WITHIN = 5
"""Seconds that docs/stack.md gives a client for its request's headers."""
PAUSE_SECONDS = 0.2
WORKER = '''
"""Read and print each request, and answer as its path says."""

import os
import signal
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        print("received", self.path, flush=True)
        if self.path == "/garbles":
            self.wfile.write(b"no HTTP\\r\\n\\r\\n")
        elif self.path == "/hangs":
            time.sleep(60)
        elif self.path != "/breaks":
            self.send_response(503 if self.path == "/refuses" else 200)
            self.end_headers()


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
'''


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Give a stack that is up, whose two workers break their promises."""
    require("docker")
    made = make_project("docker", tmp_path_factory.mktemp("door"))
    (made.directory / "service" / "__main__.py").write_text(WORKER, "utf-8")
    made.up("worker=2")
    yield made
    made.end()


def status(door: Project, path: str) -> int:
    """Return the status of the answer to one request, which is sent once."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(door.environment["PORT"]), 10)) as client:
        client.request("GET", path)
        return client.getresponse().status


@pytest.mark.parametrize(("path", "expected"), [("/breaks", 502), ("/garbles", 502), ("/refuses", 503), ("/hangs", 504)])
def test_request_that_reached_a_worker_is_sent_to_none_again(door: Project, path: str, expected: int) -> None:
    """Whatever becomes of it there: the worker may have counted it."""
    answered = status(door, path)
    received = door.invoke("logs", "worker").stdout.count(f"received {path}\n")

    assert (expected, 1) == (answered, received)


def first_line(port: int, later: bytes) -> bytes:
    """Begin a request, send `later` again and again, and return the answer's first line, nothing if there is none."""
    with socket.create_connection(("127.0.0.1", port), PAUSE_SECONDS) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: door\r\nX-Slow: ")
        for _ in range(round((HEADERS_WITHIN + 2) / PAUSE_SECONDS)):
            with contextlib.suppress(TimeoutError):
                return client.recv(1000).partition(b"\r\n")[0]
            client.sendall(later)
    return b""


def test_client_that_does_not_finish_its_request_is_cut_off(door: Project) -> None:
    """One that stalls, and one that sends byte by byte: neither may hold the door for long."""
    with ThreadPoolExecutor(2) as clients:
        lines = list(clients.map(lambda later: first_line(int(door.environment["PORT"]), later), (b"", b"x")))

    assert [b"HTTP/1.1 408 Request Time-out"] * 2 == lines
