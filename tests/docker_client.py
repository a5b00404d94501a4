"""The build context that the docker command line sends to a daemon: the reference for twelfth's."""

from __future__ import annotations

import contextlib
import http.server
import io
import os
import socketserver
import subprocess
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST_HEADER = {"Api-Version": "1.41", "Ostype": "linux", "Content-Type": "application/json"}


class _Daemon(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Accepts build contexts, and builds nothing."""

    daemon_threads = True
    context = b""

    def handle_error(self, *_: object) -> None:
        """Print nothing about a client that disconnected."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Daemon

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(b"{}")

    def do_POST(self) -> None:
        self.server.context = b"".join(self._chunks())
        self._answer(b'{"stream": "Successfully built 0123456789ab"}')

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        for name, value in {**SHORTEST_HEADER, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def sent(context: Path, *options: str) -> bytes | str:
    """Return the archive that `docker build` sends for a context, or its refusal."""
    with tempfile.TemporaryDirectory() as directory, _daemon(Path(directory) / "socket") as daemon:
        environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{daemon.server_address}",
            "DOCKER_BUILDKIT": "0",
            "DOCKER_CONTEXT": "",
        }
        done = subprocess.run(
            ["docker", "build", "--quiet", *options, str(context)],  # noqa: S607 - the one that is installed
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stderr if done.returncode else daemon.context


@contextlib.contextmanager
def _daemon(path: Path) -> Iterator[_Daemon]:
    with _Daemon(str(path), _Handler) as daemon:
        thread = threading.Thread(target=daemon.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield daemon
        finally:
            daemon.shutdown()
            thread.join()


def listed(archive: bytes | io.BufferedIOBase) -> dict[str, tuple[object, ...]]:
    """Return the files of an archive by path: type, mode, time, owner, link, attributes and bytes."""
    file = io.BytesIO(archive) if isinstance(archive, bytes) else archive
    with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        return {
            each.name: (
                each.type,
                oct(each.mode),
                int(each.mtime),
                (each.uid, each.gid),
                each.linkname,
                (each.devmajor, each.devminor),
                {name: value for name, value in each.pax_headers.items() if name.startswith("SCHILY")},
                source.read() if each.isfile() and (source := tar.extractfile(each)) else b"",
            )
            for each in tar
        }
