"""waitress as process 1: it serves until it is stopped, and then loses nobody who had already come.

waitress's own way out (`waitress.server.BaseWSGIServer.run`) cancels what is queued and forgets who waits in the
listen backlog, so the loop is run here, on waitress's parts: the dispatcher's threads, its channels, its poll loop.
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING, Any

from waitress import create_server, wasyncore  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.task import ErrorTask, WSGITask  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

DRAIN_SECONDS = 8.0
"""The longest that stopping may take; docker-compose.yml grants 10 s."""
QUIET_SECONDS = 0.3
"""How long a connection without a request is still listened to while stopping: what was on its way arrives."""
_BACKLOG = 1024
_TICK = 0.05


def listen(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """Return a socket that is bound to the first address of `host`; raise OSError.

    With `reuse_port` the kernel spreads connections over all who bind the same port that way (socket(7)).
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)  # here, where a port that is taken is still an error of its own
    except OSError:
        bound.close()
        raise
    return bound


class _LastTask(WSGITask):  # type: ignore[misc]
    """Tells the client, in the answer, that the connection ends with it once the server is stopping."""

    def build_response_header(self) -> bytes:
        if self.channel.server.stopping:
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header


class _Channel(HTTPChannel):  # type: ignore[misc]
    task_class = _LastTask
    error_task_class = ErrorTask


class Server:
    """Serves one application on one listening socket until `stop` is called."""

    def __init__(self, application: WSGIApplication, listener: socket.socket, threads: int) -> None:
        self._sockets: dict[int, Any] = {}
        self._waitress = create_server(
            application,
            map=self._sockets,
            sockets=[listener],
            threads=threads,
            backlog=_BACKLOG,
            connection_limit=1000,
            channel_timeout=60,
            max_request_body_size=65536,  # nothing here reads a body
            ident=None,
        )
        self._waitress.channel_class = _Channel
        self._waitress.stopping = False

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port that the server listens on."""
        return self._waitress.effective_host, int(self._waitress.effective_port)

    def stop(self) -> None:
        """Start to stop; fit to be called from a signal handler and from any thread."""
        self._waitress.stopping = True
        self._waitress.pull_trigger()

    def run(self) -> int:
        """Serve until stopped, then finish what has come; return how many connections had to be cut off."""
        while not self._waitress.stopping:
            self._turn(30)
        deadline = time.monotonic() + DRAIN_SECONDS
        self._accept_the_backlog()
        wasyncore.dispatcher.close(self._waitress)  # the listener alone: threads still pull the trigger
        while self._channels and time.monotonic() < deadline:
            self._turn(_TICK)
            self._close_the_quiet()
        return len(self._channels)

    @property
    def _channels(self) -> list[Any]:
        return list(self._waitress.active_channels.values())

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._sockets, count=1)

    def _accept_the_backlog(self) -> None:
        listener = self._waitress.socket
        for _ in range(_BACKLOG):  # a bound, so that a flood cannot keep the door open
            if not select.select([listener], [], [], 0)[0]:
                return
            self._waitress.handle_accept()

    def _close_the_quiet(self) -> None:
        cutoff = time.time() - QUIET_SECONDS
        for channel in self._channels:
            if not (channel.requests or channel.request or channel.total_outbufs_len):
                channel.will_close = channel.will_close or channel.last_activity < cutoff
