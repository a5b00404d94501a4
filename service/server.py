"""waitress as process 1: it serves until it is stopped, and then loses nobody who had already come.

waitress's own way out (`waitress.server.BaseWSGIServer.run`) cancels what is queued and forgets who waits in the
listen backlog, so the loop is run here, on waitress's parts: the dispatcher's threads, its channels, its poll loop.

Its threads answer all but hits: those are counted in batches, and answered by the loop.
"""

import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment

from waitress import create_server, wasyncore  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import (  # type: ignore[import-untyped]
    HTTPRequestParser,
    ParsingError,
    TransferEncodingNotImplemented,
)
from waitress.task import WSGITask  # type: ignore[import-untyped]

from service.app import COUNTED, is_hit
from service.batches import Batches, Outcome

LAME_DUCK_SECONDS = 1.0
"""How long a process that is checked goes on as before while it says that it is leaving: the door asks five times."""
DRAIN_SECONDS = 8.0
"""The longest that stopping may take; docker-compose.yml grants 10 s."""
QUIET_SECONDS = 0.3
"""How long a connection without a request is still listened to while stopping: what was on its way arrives."""
_BACKLOG = 1024
_LARGEST_HEADER = 16384
"""Bytes, as at the door: a thousand connections may hold as many, and the loop reads them while all others wait."""
_TICK = 0.05


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the first address of `host`; raise OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it: an urgent byte that is the last (tcp(7)) would otherwise keep the poll loop awake.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)  # here, where a port that is taken is still an error of its own
    except OSError:
        bound.close()
        raise
    return bound


class _Request(HTTPRequestParser):  # type: ignore[misc]
    outcome: Outcome | None = None
    """What became of it, if it is a hit and was counted."""
    expect_continue: bool
    path = ""
    """waitress logs it of a client that has gone, and has none where the request could not be parsed."""

    def received(self, data: bytes) -> int:
        """Take what came, and return how much of it; a client whose request is complete is not told to go on.

        waitress would tell it, and then wait for a body that nobody sends.
        """
        consumed: int = super().received(data)
        if self.completed:
            self.expect_continue = False
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Read it; what the standard library stumbles over is the client's mistake, and so is a foreign coding.

        waitress answers the former with nothing and the latter with 501 (RFC 9112, section 6.3, wants 400).
        """
        try:
            super().parse_header(header_plus)
        except (ValueError, TransferEncodingNotImplemented) as error:
            raise ParsingError("The request cannot be understood") from error


class _Task(WSGITask):  # type: ignore[misc]
    wrote_header: bool

    def get_environment(self) -> WSGIEnvironment:
        environ: WSGIEnvironment = super().get_environment()
        environ[COUNTED] = self.request.outcome
        return environ

    def build_response_header(self) -> bytes:
        """Tell the client that the connection ends with this answer once the server is stopping."""
        if self.channel.server.stopping:
            self.request.headers["CONNECTION"] = "close"
        header: bytes = super().build_response_header()
        return header

    def write(self, data: bytes) -> None:
        """Send header and body in one piece where the body is: waitress sends each by itself."""
        if self.wrote_header or not (self.complete and self.has_body and self.content_length == len(data)):
            super().write(data)
            return
        self.channel.write_soon(self.build_response_header() + data)
        self.wrote_header, self.content_bytes_written = True, len(data)


class _Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = _Request
    task_class = _Task

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001, FBT002 - as waitress calls it
        """Send, and return how many bytes; none where the loop has closed the socket, while a thread had an answer."""
        try:
            return int(super().send(data, do_close))
        except AttributeError:  # the socket is None then, at any moment
            return 0

    def _flush_some(self, do_close: bool = True) -> bool:  # noqa: FBT001, FBT002 - as waitress calls it
        """Send what waits, one thread at a time, and return whether any was sent.

        waitress's loop would not wait for a thread that tells a client to go on: both would send the same bytes.
        """
        with self.outbuf_lock:
            return bool(super()._flush_some(do_close))

    def send_continue(self) -> None:
        """Tell the client to go on; where the network fails, it is the connection that ends, not the loop."""
        try:
            super().send_continue()
        except OSError:
            self.will_close = True

    def handle_expt(self) -> None:
        """Say nothing of urgent data, which is read like all other."""


class Server:
    """Serves one application on one listening socket until `stop` is called, in the thread that made it.

    `count` counts so many hits, the oldest of which has waited so many seconds.
    """

    def __init__(
        self,
        application: WSGIApplication,
        listener: socket.socket,
        threads: int,
        count: Callable[[int, float], Sequence[Outcome]],
    ) -> None:
        self._sockets: dict[int, Any] = {}
        self._waitress = create_server(
            application,
            map=self._sockets,
            sockets=[listener],
            threads=threads,
            backlog=_BACKLOG,
            connection_limit=1000,
            channel_timeout=60,
            max_request_header_size=_LARGEST_HEADER,
            max_request_body_size=65536,  # nothing here reads a body
            ident=None,
        )
        self._waitress.channel_class = _Channel
        self._waitress.stopping = False
        self._waitress.add_task = self._add_task
        self._waitress.pull_trigger = self._wake
        self._batches: Batches[Any] = Batches(count, self._wake)
        self._loop = threading.get_ident()

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port that the server listens on."""
        return self._waitress.effective_host, int(self._waitress.effective_port)

    def stop(self) -> None:
        """Start to stop; fit to be called from a signal handler and from any thread."""
        self._waitress.stopping = True
        self._waitress.trigger.pull_trigger()

    def run(self, leave: Callable[[], bool]) -> int:
        """Serve until stopped, then finish what has come; return how many connections had to be cut off.

        `leave` is called when it is stopped, and returns whether somebody is being told of it and needs a while.
        """
        while not self._waitress.stopping:
            self._turn(30)
        stopped = time.monotonic()
        if leave():
            while time.monotonic() < stopped + LAME_DUCK_SECONDS:
                self._turn(_TICK)
        self._accept_the_backlog()
        wasyncore.dispatcher.close(self._waitress)  # the listener alone: threads still pull the trigger
        while self._channels and time.monotonic() < stopped + DRAIN_SECONDS:
            self._turn(_TICK)
            self._close_the_quiet()
        return len(self._channels)

    @property
    def _channels(self) -> list[Any]:
        return list(self._waitress.active_channels.values())

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._sockets, count=1)
        for channel, outcome in self._batches.take():
            channel.requests[0].outcome = outcome
            channel.service()
        self._batches.send()

    def _add_task(self, channel: Any) -> None:  # noqa: ANN401 - waitress has no types
        """Keep a hit for the batch of this turn, and leave everything else to waitress's threads."""
        request = channel.requests[0]
        if not request.error and is_hit(request.command, request.request_uri):
            self._batches.add(channel)
        else:
            self._waitress.task_dispatcher.add_task(channel)

    def _wake(self) -> None:
        """Have the loop look again; in its own thread it will anyway."""
        if threading.get_ident() != self._loop:
            self._waitress.trigger.pull_trigger()

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
