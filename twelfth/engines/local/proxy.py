"""The load balancer of one service: `python proxy.py CONFIG`, where the JSON file CONFIG lists the replicas.

CONFIG has `host` and `port` to listen on and `backends`, the ports of the replicas by name. It is read again when it
has changed. A new connection goes to the replica with the fewest connections. The proxy passes on bytes (TCP), and
tries another replica only if no connection was made, so no request is sent twice.

A client that keeps its connection would use a replica until that exits, and lose the request that it sends then. So
after a replica is removed from the file, the next request of each connection to it gets `Connection: close`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

WAIT = 3.0
"""Seconds for which a client waits while no replica accepts its connection, such as during a restart."""

RETRY = 0.05
"""Seconds between two attempts."""

UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\nCache-Control: no-store\r\n"
    b"Connection: close\r\nContent-Length: 41\r\n\r\nNo worker is up; try again in a second.\r\n"
)


_REQUEST = re.compile(rb"[A-Z]+ [^\r\n]+ HTTP/1\.[01]\r\n")
_KEEP_ALIVE = re.compile(rb"\r\nconnection: *keep-alive(?=\r\n)", re.IGNORECASE)


def closing(data: bytes) -> bytes:
    """Add `Connection: close` to the start of an HTTP request; return any other data unchanged."""
    head, end, body = data.partition(b"\r\n\r\n")
    head = _KEEP_ALIVE.sub(b"", head + b"\r\n")
    request = _REQUEST.match(head)
    if not (end and request) or b"\r\nconnection:" in head.lower():  # such as `Connection: Upgrade`
        return data
    return request[0] + b"Connection: close\r\n" + head[request.end() :] + b"\r\n" + body


class Backends:
    """The replicas in the file, and their numbers of connections."""

    def __init__(self, path: Path) -> None:
        self.path, self.changed, self.config = path, (0, 0), dict[str, Any]()
        self.connections: Counter[int] = Counter()

    def read(self) -> dict[str, Any]:
        """Return the content of the file."""
        status = self.path.stat()
        changed = (status.st_ino, status.st_mtime_ns)
        if changed != self.changed:
            self.config, self.changed = json.loads(self.path.read_text("utf-8")), changed
        return self.config

    def has(self, port: int) -> bool:
        """Return whether the replica on a port is in the file, also if the file cannot be read."""
        try:
            return port in self.read()["backends"].values()
        except OSError:
            return True

    def ports(self) -> list[int]:
        """Return the ports of the replicas, the one with the fewest connections first."""
        return sorted(self.read()["backends"].values(), key=self.connections.__getitem__)


class Relay(asyncio.Protocol):
    """One end of a connection: it passes data on to the other end, no faster than that accepts it."""

    def __init__(self, peer: Relay | None = None) -> None:
        self.peer = peer
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass data on."""
        if self.peer:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        """Pause reading at the other end."""
        if self.peer:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """Resume reading at the other end."""
        if self.peer:
            self.peer.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Close the other end after it has sent all data."""
        if self.peer:
            self.peer.transport.close()


class Client(Relay):
    """The client's end; nothing is read from it until a replica has accepted the connection."""

    def __init__(self, backends: Backends) -> None:
        super().__init__()
        self.backends = backends
        self.task: asyncio.Task[None] | None = None
        self.port = 0
        self.is_answered = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look for a replica."""
        super().connection_made(transport)
        self.transport.pause_reading()
        self.task = asyncio.ensure_future(self.find_replica())

    def data_received(self, data: bytes) -> None:
        """Pass data on; a request to a removed replica becomes the last of its connection."""
        if self.is_answered and not self.backends.has(self.port):
            data = closing(data)
        self.is_answered = False
        super().data_received(data)

    def eof_received(self) -> bool:
        """Close the replica's input, and wait for its answer."""
        if self.peer:
            self.peer.transport.write_eof()
        return True

    async def find_replica(self) -> None:
        """Connect to the first replica that accepts a connection; answer 503, like the ingress, if none does."""
        loop = asyncio.get_running_loop()
        deadline, ports = loop.time() + WAIT, list[int]()
        while loop.time() < deadline:
            with contextlib.suppress(OSError):  # such as for a missing file
                ports = self.backends.ports()
            if await self.connect(ports):
                self.transport.resume_reading()
                return
            await asyncio.sleep(RETRY)
        self.transport.write(UNAVAILABLE)
        self.transport.close()

    async def connect(self, ports: list[int]) -> bool:
        """Connect to the first replica that accepts a connection; return whether one did."""
        for port in ports:
            with contextlib.suppress(OSError):
                replica = functools.partial(Replica, self, port)
                await asyncio.get_running_loop().create_connection(replica, "127.0.0.1", port)
                return True
        return False


class Replica(Relay):
    """The replica's end."""

    def __init__(self, client: Client, port: int) -> None:
        super().__init__(client)
        self.client, self.port = client, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect the two ends."""
        super().connection_made(transport)
        self.client.peer, self.client.port = self, self.port
        self.client.backends.connections[self.port] += 1
        if self.client.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass data on; the client's next data starts a request."""
        self.client.is_answered = True
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Stop counting the connection."""
        self.client.backends.connections[self.port] -= 1
        super().connection_lost(error)


async def serve(path: Path) -> None:
    """Serve until the process is stopped; raises `OSError` if it cannot listen."""
    backends = Backends(path)
    config = backends.read()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(backends), config["host"], config["port"], backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(serve(Path(sys.argv[1])))
    except OSError as error:
        sys.exit(f"proxy: cannot listen: {error.strerror or error}")
