"""The connection of a client that is attached to a run."""

from __future__ import annotations

import gc
import http.server
import socketserver
import threading
from typing import TYPE_CHECKING, Any

import docker
import pytest

from twelfth.engines import multiplex
from twelfth.engines.docker_api.exec_session import ExecSession
from twelfth.engines.docker_api.session import DockerSession
from twelfth.model.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

NOT_FOUND = b'OCI runtime exec failed: exec failed: exec: "x": executable file not found in $PATH: unknown'


class Daemon(http.server.BaseHTTPRequestHandler):
    """A daemon with one run, which prints its input and exits, and commands that print `hello`."""

    def do_POST(self) -> None:
        """Attach the client; every other request has an empty answer."""
        # What is left unread when the socket is closed resets the connection.
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/attach" in self.path:
            Daemon.asked = self.path
            self.wfile.write(UPGRADED)
            self.wfile.write(self.connection.recv(100))
        elif "/start" in self.path:
            self.wfile.write(UPGRADED + multiplex.frame(1, NOT_FOUND if "/exec/0/" in self.path else b"hello"))
        elif self.path.endswith("/exec"):
            number = 0 if "/missing/" in self.path else 1
            self.wfile.write(b'HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{"Id":"%d"}' % number)
        elif "/wait" in self.path:
            answer = b'{"StatusCode":137}' if "/removed/" in self.path else b'{"StatusCode":0}'
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        self.close_connection = True

    def do_GET(self) -> None:
        """Answer that a command could not be executed, and that the container does not exist."""
        answer = b'{"Running":false,"ExitCode":126}'
        if "/exec/" in self.path:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        else:
            self.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name of the library
        """Print nothing."""

    asked = ""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A server on a UNIX socket."""

    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        """Return a connection and an address, which the handler wants."""
        connection, _ = super().get_request()
        return connection, ("", 0)

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave a client that went away to the test."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[docker.APIClient]:
    """Return a client of the daemon."""
    with Server(str(tmp_path / "socket"), Daemon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = docker.APIClient(f"unix://{tmp_path / 'socket'}", version="1.41")
        yield client
        client.close()
        server.shutdown()


@pytest.mark.filterwarnings("error")
def test_session_closes_without_an_ignored_exception(api: docker.APIClient) -> None:
    """Python 3.13 reports "Exception ignored … ValueError" if the socket is closed before its response."""
    session = DockerSession(api, "abc", tty=True, interactive=False)
    session.write_stdin(b"hello")

    assert [(1, b"hello")] == list(session.output())
    assert 0 == session.wait()
    del session
    gc.collect()


def test_run_that_is_removed_while_it_exits_has_an_exit_code(api: docker.APIClient) -> None:
    """`docker rm -f` removes its container at once; only that would show whether it reached its time limit."""
    session = DockerSession(api, "removed", tty=True, interactive=False, limited=True)
    session.write_stdin(b"hello")

    assert [(1, b"hello")] == list(session.output())
    assert (137, 137) == (session.wait(), session.exit_code)


def test_daemon_has_no_keys_that_detach(api: docker.APIClient) -> None:
    """Its default would hold back every Ctrl-P, and detach without a message."""
    session = DockerSession(api, "abc", tty=True, interactive=False)
    session.close()

    assert "detachKeys=%FF" in Daemon.asked


def test_output_that_arrives_with_the_headers_is_not_lost(api: docker.APIClient) -> None:
    """A command in a container runs before its client has read them."""
    session = ExecSession(api, "abc", Hook(("echo", "hello")), tty=False, interactive=False)

    assert [(1, b"hello")] == list(session.output())
    session.close()


@pytest.mark.parametrize(("container", "code"), [("missing", 127), ("abc", 126)])
def test_command_that_does_not_exist_has_the_exit_code_of_a_shell(
    api: docker.APIClient, container: str, code: int
) -> None:
    """Some daemons have 126 for each command that they cannot execute."""
    session = ExecSession(api, container, Hook(("x",)), tty=False, interactive=False)
    assert [*session.output()]

    assert code == session.wait()
