"""The load balancer of a service, and clients that keep their connections while replicas come and go."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.real_redis import free_port
from twelfth.engines import tcp
from twelfth.engines.local import proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Backend(ThreadingHTTPServer):
    """A replica that keeps connections, as waitress does, and answers with its port."""

    daemon_threads = True

    class Handler(BaseHTTPRequestHandler):
        """Answers every request."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer with the port, and the length of the body."""
            length = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            text = f"{self.connection.getsockname()[1]} {length}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST  # noqa: N815 - the name that the server calls

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.server_address[1])


class Balancer:
    """The load balancer as a process, and two replicas."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "config.json"
        self.replicas = [Backend(), Backend()]
        self.port = free_port()
        self.send_to(self.replicas[0])
        self.process = subprocess.Popen([sys.executable, "-P", proxy.__file__, str(self.file)])
        assert eventually(lambda: tcp.answers("127.0.0.1", self.port))

    def send_to(self, *replicas: Backend) -> None:
        """Declare who serves, as the engine does."""
        backends = {str(replica.port): replica.port for replica in replicas}
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"host": "127.0.0.1", "port": self.port, "backends": backends}), "utf-8")
        new.replace(self.file)

    def end(self) -> None:
        """End all of it."""
        self.process.kill()
        self.process.wait()
        for replica in self.replicas:
            replica.shutdown()
            replica.server_close()


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[Balancer]:
    """Give a load balancer that sends all clients to the first replica."""
    running = Balancer(tmp_path)
    yield running
    running.end()


def test_kept_connection_to_a_replica_that_leaves_ends_with_its_next_answer(balancer: Balancer) -> None:
    """The request is answered, the client connects again, and then it reaches the other replica."""
    old, new = balancer.replicas
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=10)) as client:

        def hit() -> tuple[str, bool]:
            client.request("POST", "/", b"GET / HTTP/1.1\r\n\r\n", {"Connection": "keep-alive"})
            response = client.getresponse()
            return response.read().decode(), response.will_close

        hits = [hit(), hit()]
        balancer.send_to(new)
        hits += [hit(), hit(), hit()]

    assert [(f"{old.port} 18", False)] * 2 == hits[:2]
    assert [(f"{old.port} 18", True), (f"{new.port} 18", False), (f"{new.port} 18", False)] == hits[2:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
        (
            b"POST /x HTTP/1.0\r\nHost: h\r\nconnection:Keep-Alive\r\nA: b\r\n\r\nbody\r\n\r\n",
            b"POST /x HTTP/1.0\r\nConnection: close\r\nHost: h\r\nA: b\r\n\r\nbody\r\n\r\n",
        ),
    ],
)
def test_a_request_gets_one_connection_header(data: bytes, expected: bytes) -> None:
    """Whatever the client asked for, and the body stays as it is."""
    assert expected == proxy.closing(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n",
        b"GET / HTTP/1.1\r\nConnection: Upgrade\r\n\r\n",
        b"x",
    ],
)
def test_what_is_no_whole_request_is_passed_on(data: bytes) -> None:
    """Another protocol, a part of a header, and a connection that becomes one of another protocol."""
    assert data == proxy.closing(data)
