"""TLS for a Redis without it: certificates for tests, and a terminator that speaks one version."""

from __future__ import annotations

import select
import socket
import socketserver
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

from tests.real_redis import InThread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PIECE = 1 << 16


@dataclass(frozen=True)
class Authority:
    """A certificate authority; clients trust it by `file`."""

    signs: trustme.CA
    file: Path

    def environment(self, port: int, *, user: str = "", database: int = 0) -> Mapping[str, str]:
        """Return what a process needs to find Redis behind TLS on that port, and to trust this authority."""
        return {"REDIS_URL": f"rediss://{user}127.0.0.1:{port}/{database}?ssl_ca_certs={self.file}"}


def authority(directory: Path, name: str = "ca") -> Authority:
    """Return a new authority, with its certificate in the directory."""
    signs, file = trustme.CA(), directory / f"{name}.pem"
    signs.cert_pem.write_to_path(str(file))
    return Authority(signs, file)


class Terminator(InThread):
    """Terminates TLS, and forwards to a port of this machine."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 20

    def __init__(self, port: int, certificate: trustme.LeafCert, version: ssl.TLSVersion, *, pause: float = 0) -> None:
        """Take the port of the server behind, what it proves itself by, and the one version that it speaks.

        Each handshake begins after `pause` seconds.
        """
        super().__init__(("127.0.0.1", 0), _Passage)
        self.upstream, self.pause = port, pause
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = self.context.maximum_version = version
        certificate.configure_cert(self.context)

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self.server_address[1])


class _Passage(socketserver.BaseRequestHandler):
    server: Terminator

    def handle(self) -> None:
        time.sleep(self.server.pause)
        try:
            with (
                self.server.context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection(("127.0.0.1", self.server.upstream)) as redis,
            ):
                while _passed_on(client, redis):
                    pass
        except OSError:  # a client that does not trust the certificate disconnects
            pass


def _passed_on(client: ssl.SSLSocket, redis: socket.socket) -> bool:
    """Forward data of either side; return whether both are still connected."""
    ready, _, _ = select.select([client, redis], [], [])
    for source, target in ((client, redis), (redis, client)):
        if source in ready:
            piece = source.recv(PIECE)
            while isinstance(source, ssl.SSLSocket) and source.pending():
                piece += source.recv(PIECE)
            if not piece:
                return False
            target.sendall(piece)
    return True
