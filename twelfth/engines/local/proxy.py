"""The load balancer of one service: `python proxy.py CONFIG`, where the JSON file CONFIG says who serves.

CONFIG has `host` and `port` to listen on and `backends`, the ports of the replicas by name; it is read again whenever
it has changed, and every new connection goes to the replica that has the fewest. Only bytes are passed on (TCP), and
another replica is tried only where no connection was made: so nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look for a replica."""
        super().connection_made(transport)
        self.transport.pause_reading()
        self.task = asyncio.ensure_future(self.find_replica())

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
        self.client.peer = self
        self.client.backends.connections[self.port] += 1
        if self.client.transport.is_closing():
            self.transport.close()

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
