"""The load balancer of one service: `python proxy.py CONFIG`, where the JSON file CONFIG says who serves.

CONFIG has `host` and `port` to listen on and `backends`, the ports of the replicas by name; it is read again whenever
it has changed, and every new connection goes to the replica that has the fewest. Only bytes are passed on (TCP), and
another replica is tried only where no connection was made: so nothing is ever sent twice.

A client that keeps its connection would hit a replica until that exits, and lose the request that it sends then. So
once a replica serves no longer, the next request of each connection to it gets the header `Connection: close`.
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
"""Seconds for which a connection is held while no replica takes it, such as one that is being started again."""

RETRY = 0.05
"""Seconds between two tries."""

NOBODY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\nCache-Control: no-store\r\n"
    b"Connection: close\r\nContent-Length: 41\r\n\r\nNo worker is up; try again in a second.\r\n"
)


_REQUEST = re.compile(rb"[A-Z]+ [^\r\n]+ HTTP/1\.[01]\r\n")
_KEEP_ALIVE = re.compile(rb"\r\nconnection: *keep-alive(?=\r\n)", re.IGNORECASE)


def closing(data: bytes) -> bytes:
    """Return the beginning of an HTTP request with `Connection: close`, and anything else as it is."""
    head, end, body = data.partition(b"\r\n\r\n")
    head = _KEEP_ALIVE.sub(b"", head + b"\r\n")
    request = _REQUEST.match(head)
    if not (end and request) or b"\r\nconnection:" in head.lower():  # such as `Connection: Upgrade`
        return data
    return request[0] + b"Connection: close\r\n" + head[request.end() :] + b"\r\n" + body


class Backends:
    """The replicas that serve, as the file says now, and how many connections each has."""

    def __init__(self, path: Path) -> None:
        """Take the file."""
        self.path, self.changed, self.config = path, (0, 0), dict[str, Any]()
        self.connections: Counter[int] = Counter()

    def read(self) -> dict[str, Any]:
        """Return what the file holds."""
        found = self.path.stat()
        changed = (found.st_ino, found.st_mtime_ns)
        if changed != self.changed:
            self.config, self.changed = json.loads(self.path.read_text("utf-8")), changed
        return self.config

    def has(self, port: int) -> bool:
        """Return whether the replica on a port serves, as far as the file can be read."""
        try:
            return port in self.read()["backends"].values()
        except OSError:
            return True

    def ports(self) -> list[int]:
        """Return where the replicas listen, the one with the fewest connections first."""
        return sorted(self.read()["backends"].values(), key=self.connections.__getitem__)


class Relay(asyncio.Protocol):
    """One end of a connection: what comes in goes out at the other end, no faster than that takes it."""

    def __init__(self, peer: Relay | None = None) -> None:
        """Take the other end where it is there already."""
        self.peer = peer
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        if self.peer:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        """Read no more at the other end for the moment."""
        if self.peer:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading at the other end."""
        if self.peer:
            self.peer.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Close the other end, when it has got all that came."""
        if self.peer:
            self.peer.transport.close()


class Client(Relay):
    """A visitor's end: nothing is read from it until a replica has taken the connection."""

    def __init__(self, backends: Backends) -> None:
        """Take who serves."""
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
        """Pass on what came; a request to a replica that serves no longer is the last of its connection."""
        if self.is_answered and not self.backends.has(self.port):
            data = closing(data)
        self.is_answered = False
        super().data_received(data)

    def eof_received(self) -> bool:
        """Tell the replica that no more comes, and wait for its answer."""
        if self.peer:
            self.peer.transport.write_eof()
        return True

    async def find_replica(self) -> None:
        """Connect to the first replica that takes a connection; where none does in time, say so as the door would."""
        loop = asyncio.get_running_loop()
        deadline, ports = loop.time() + WAIT, list[int]()
        while loop.time() < deadline:
            with contextlib.suppress(OSError):  # such as of a file that is gone
                ports = self.backends.ports()
            if await self.connect(ports):
                self.transport.resume_reading()
                return
            await asyncio.sleep(RETRY)
        self.transport.write(NOBODY)
        self.transport.close()

    async def connect(self, ports: list[int]) -> bool:
        """Connect to the first replica that takes a connection; return whether one did."""
        for port in ports:
            with contextlib.suppress(OSError):
                replica = functools.partial(Replica, self, port)
                await asyncio.get_running_loop().create_connection(replica, "127.0.0.1", port)
                return True
        return False


class Replica(Relay):
    """A replica's end."""

    def __init__(self, client: Client, port: int) -> None:
        """Take the visitor's end."""
        super().__init__(client)
        self.client, self.port = client, port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the visitor's end pass on what it reads."""
        super().connection_made(transport)
        self.client.peer, self.client.port = self, self.port
        self.client.backends.connections[self.port] += 1
        if self.client.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass on what came: what the client sends after it begins a request."""
        self.client.is_answered = True
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Count it no more."""
        self.client.backends.connections[self.port] -= 1
        super().connection_lost(error)


async def serve(path: Path) -> None:
    """Serve until the process is ended; raises `OSError` where it cannot listen."""
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
