"""Connect to a daemon on another machine through OpenSSH, which the docker command also does.

Each connection is one `ssh HOST docker system dial-stdio`, whose standard input and output are one end of a socket
pair. The other end is a real socket, which can be half closed and times out, unlike the SDK's own over ssh. The docker
command must be installed on that machine: to forward the daemon's socket (`ssh -L`), its path would have to be known.
The first one leaves a master in the background, which carries the others, so that ssh authenticates once.
"""

from __future__ import annotations

import contextlib
import functools
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import docker
import urllib3.connection
import urllib3.connectionpool
from docker.transport.basehttpadapter import BaseHTTPAdapter

from twelfth.engines.docker_api.errors import one_line
from twelfth.engines.temporary_directory import temporary_directory
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_WITHIN = 60
"""Seconds for the first answer if ssh cannot ask the operator anything; without a limit if it can."""

PIECE = 1 << 12

CONNECTIONS = 10
"""The most connections that are kept for later requests."""

OLDEST = "1.24"
"""The API version of the request for the daemon's version, which is in no path."""

BATCH = ("-oBatchMode=yes",)

OPTIONS = ("-T", "-oConnectTimeout=30", "-oServerAliveInterval=15", "-oServerAliveCountMax=3")

LASTS = 3
"""Seconds that the master stays after its last connection."""

NOT_AGAIN = 5
"""Seconds after a failure in which it counts for the same address: else a command that connects twice asks twice."""

_failures: dict[str, tuple[float, EngineError]] = {}


def connect(url: str, timeout: int) -> docker.APIClient:
    """Return a connected low-level client; raises `EngineError` with ssh's own message if it cannot connect."""
    at, failure = _failures.get(url, (0.0, None))
    if failure and time.monotonic() - at < NOT_AGAIN:
        raise failure
    adapter = Adapter(url)
    try:
        adapter.open()
    except EngineError as error:
        _failures[url] = time.monotonic(), error
        raise
    version = _client(adapter, OLDEST, timeout).version(api_version=False)["ApiVersion"]
    return _client(adapter, version, timeout)


def _client(adapter: Adapter, version: str, timeout: int) -> docker.APIClient:
    client = docker.APIClient("unix:///over-ssh", version=version, timeout=timeout)
    client.mount("http+docker://", adapter)
    return client


def destination(url: str) -> list[str]:
    """Return ssh's arguments for the machine of an address."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return [*([f"-p{parts.port}"] if parts.port else []), "--", f"{user}{parts.hostname}"]


def remote_command(url: str) -> str:
    """Return the command that connects its input and output to the daemon, or to the socket that the address names."""
    path = urlsplit(url).path.rstrip("/")
    return shlex.join(["docker", *([f"--host=unix://{path}"] if path else []), "system", "dial-stdio"])


class Adapter(BaseHTTPAdapter):
    """Send requests through ssh."""

    def __init__(self, url: str) -> None:
        """Connect nothing yet; raises `EngineError` if the address is invalid or OpenSSH is missing."""
        super().__init__()
        self.url = url
        try:
            self._destination, self._command = destination(url), remote_command(url)
        except ValueError as error:
            raise EngineError(f"DOCKER_HOST is {url}: {error}. Try: DOCKER_HOST=ssh://USER@HOST:22") from error
        if not shutil.which("ssh"):
            raise EngineError(f"cannot connect to {url}: ssh is not installed. Try: apt install openssh-client")
        self._stack = contextlib.ExitStack()
        self._errors = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        self._processes: list[subprocess.Popen[bytes]] = []
        self._pool = _Pool("localhost", maxsize=CONNECTIONS, dial=self.dial)

    @property
    def remote_host(self) -> str:
        """The name of the machine: a host in ssh's configuration may be an alias."""
        return self._settings.get("hostname") or str(urlsplit(self.url).hostname)

    @property
    def machine(self) -> str:
        """The machine as the operator wrote it."""
        return urlsplit(self.url).netloc

    def open(self) -> None:
        """Start the master that carries the others; ssh may ask the operator for a passphrase now."""
        asks, answer = _can_ask(), b""
        with self._start([] if asks else BATCH, group=None if asks else 0) as connection, contextlib.suppress(OSError):
            connection.settimeout(None if asks else ANSWER_WITHIN)
            connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
            answer = connection.recv(PIECE)
        if not answer.startswith(b"HTTP"):
            way = shlex.join(["ssh", *(word for word in self._destination if word != "--"), "docker", "version"])
            why = _last_line(answer) or self._last_error()
            self.close()
            raise EngineError(f"cannot connect to {self.url}: {why}. Try: {way}")

    def dial(self) -> socket.socket:
        """Return a new connection to the daemon.

        It is in a separate process group, since Ctrl-C is for the run. There it cannot ask for anything.
        """
        return self._start(BATCH, group=0)

    def _start(self, options: Sequence[str], *, group: int | None) -> socket.socket:
        self._processes = [process for process in self._processes if process.poll() is None]
        command = ["ssh", *OPTIONS, *self._shared, *options, *self._destination, self._command]
        connection, far_end = socket.socketpair()
        with far_end:
            end = far_end.fileno()
            process = subprocess.Popen(  # noqa: S603
                command, stdin=end, stdout=end, stderr=self._errors, process_group=group
            )
        self._processes.append(process)
        return connection

    def get_connection(self, url: str | bytes, proxies: Any = None) -> urllib3.connectionpool.HTTPConnectionPool:
        """Return the connections, whatever the URL."""
        del url, proxies
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:
        """Return the path only: there is no proxy."""
        del proxies
        return str(request.path_url)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
        self._stack.close()

    @functools.cached_property
    def _settings(self) -> dict[str, str]:
        """The configuration of ssh for this machine."""
        command = ["ssh", "-G", *self._destination]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        pairs = (line.partition(" ") for line in answer.stdout.splitlines())
        return {name: value for name, _, value in pairs}

    @functools.cached_property
    def _shared(self) -> list[str]:
        """Options to share one connection, which Ctrl-C does not end, as far as the operator's settings do not."""
        options = []
        if self._settings.get("controlpath", "none") == "none":
            directory = self._stack.enter_context(temporary_directory())
            options += [f"-oControlPath={directory}/ssh"]
        if self._settings.get("controlmaster", "false") == "false":
            options += ["-oControlMaster=auto"]
        if self._settings.get("controlpersist", "no") == "no":
            options += [f"-oControlPersist={LASTS}"]
        return options

    def _last_error(self) -> str:
        """Return what ssh printed last."""
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
        self._errors.seek(0)
        return _last_line(self._errors.read()) or "no answer"


class _Connection(urllib3.connection.HTTPConnection):
    """A connection through ssh."""

    def __init__(self, *arguments: Any, dial: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._dial = dial

    def connect(self) -> None:
        self.sock = self._dial()
        self.sock.settimeout(self.timeout)


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    """Connections for later requests, the last one first."""

    ConnectionCls = _Connection

    def _put_conn(self, conn: Any) -> None:
        # A closed one, such as that of a run's streams, would be opened again although others are idle.
        if conn and conn.sock:
            super()._put_conn(conn)


def _can_ask() -> bool:
    """Return whether the operator would see a question of ssh, which asks on the terminal."""
    return any(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _last_line(printed: bytes) -> str:
    lines = [line for line in printed.decode(errors="replace").splitlines() if line.strip()]
    return one_line(lines[-1]).rstrip(".") if lines else ""
