"""Docker daemons that can fail: a connection to the shared daemon that can be cut, and a private daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

from tests.conftest import REQUIRED, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

UP_WITHIN = 30.0
"""Seconds that a daemon has to answer, and to be gone."""


class Way:
    """A socket that forwards to a daemon's until it is cut; then it refuses connections."""

    def __init__(self, path: Path, daemon: str) -> None:
        """Listen at `path`, for connections to the socket `daemon`."""
        self.url, self.daemon = f"unix://{path}", daemon
        self.open: list[socket.socket] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        for each in (self.listener, *self.open):
            with contextlib.suppress(OSError):  # it has ended already
                each.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = self.listener.accept()[0], socket.socket(socket.AF_UNIX)
                far.connect(self.daemon)
                self.open += [near, far]
                threading.Thread(target=_serve, args=(near, far), daemon=True).start()


def _serve(near: socket.socket, far: socket.socket) -> None:
    with near, far:
        back = threading.Thread(target=_pass, args=(far, near), daemon=True)
        back.start()
        _pass(near, far)
        back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def way(api: docker.APIClient) -> Iterator[Way]:
    """Make a connection that can be cut to a client's daemon; skip the test without a local socket."""
    daemon = getattr(api.get_adapter(api.base_url), "socket_path", None)
    if not daemon:
        pytest.skip("the Docker daemon is not on a socket of this machine")
    with tempfile.TemporaryDirectory(prefix="twelfth-") as home:  # short, as an address has to be
        made = Way(Path(home) / "socket", daemon)
        yield made
        made.cut()


class Daemon:
    """A dockerd with its own data and containerd, and private networks and mounts."""

    def __init__(self, home: Path) -> None:
        """Take the directory; start nothing yet."""
        self.home = home
        self.url = f"unix://{home}/socket"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; raises `RuntimeError` with its last words where it does not."""
        own = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        words = [f"--{name}={self.home / place}" for name, place in own.items()]
        alone = ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        with (self.home / "log").open("ab") as log:
            command = ["unshare", "--net", "--mount", "dockerd", f"--host={self.url}", *words, *alone]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + UP_WITHIN
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.home / "log").read_text("utf-8", "replace").strip().rpartition("\n")[2])
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Stop it: TERM stops its containers first, KILL leaves them running."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait(UP_WITHIN)
            self.process = None
            self._end_of_containerd()

    def _end_of_containerd(self) -> None:
        """Wait until its containerd exits, and forget it: the next one would wait for it too."""
        kept = self.home / "exec" / "containerd" / "containerd.pid"
        if kept.exists():
            program = Path("/proc") / kept.read_text("utf-8") / "exe"  # one that is dead and not yet buried has none
            assert eventually(lambda: not program.exists())
            kept.unlink()

    def load(self, source: docker.APIClient, image: str) -> None:
        """Copy an image from another daemon."""
        with contextlib.closing(docker.APIClient(self.url)) as api:
            for _ in api.load_image(source.get_image(image)):
                pass

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.home / "socket"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        return False


@contextlib.contextmanager
def daemon() -> Iterator[Daemon]:
    """Start a private daemon; skip if that is impossible, fail if it is required or does not start."""
    if os.geteuid() or not (shutil.which("dockerd") and shutil.which("unshare")):
        pytest.skip("a Docker daemon of the test's own needs root, dockerd and unshare")
    with tempfile.TemporaryDirectory(prefix="twelfth-", ignore_cleanup_errors=True) as home:
        made = Daemon(Path(home))
        try:
            made.start()
            yield made
        except RuntimeError as error:
            give_up = pytest.fail if "docker" in REQUIRED else pytest.skip
            give_up(f"a Docker daemon of the test's own does not start: {error}")
        finally:
            made.end()
