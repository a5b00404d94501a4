"""A receiver of notifications that can fail in several ways."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from twelfth.engines import tcp

if TYPE_CHECKING:
    from collections.abc import Iterator

HANGS = 10
"""Seconds for which a slow receiver does not answer."""


class Receiver:
    """An HTTP server; `behaviour` is `ok`, `down`, `slow`, `500`, `redirect`, or `half`, `silent`: it dies halfway."""

    def __init__(self) -> None:
        """Take a port; nothing listens to it yet."""
        self.port = tcp.free("127.0.0.1")
        self.behaviour = "ok"
        self.received: list[dict[str, Any]] = []
        """What arrived as a whole, and was confirmed."""
        self.keys: list[str] = []
        """The idempotency key of each request that arrived."""
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """Return its URL, with a secret."""
        return f"http://127.0.0.1:{self.port}/hush"

    @property
    def ids(self) -> list[str]:
        """Return the ids of what arrived, without repetitions."""
        return list(dict.fromkeys(content["id"] for content in self.received))

    @contextlib.contextmanager
    def listening(self, behaviour: str) -> Iterator[None]:
        """Answer requests meanwhile, unless it is `down`."""
        self.behaviour = behaviour
        if behaviour == "down":
            yield
            return
        self.released.clear()
        server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield
        finally:
            self.released.set()
            server.shutdown()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request as it behaves now."""
        self.keys.append(request.headers["Idempotency-Key"])
        length = int(request.headers["Content-Length"])
        body = request.rfile.read(10 if self.behaviour == "half" else length)
        match self.behaviour:
            case "half" | "silent":
                request.connection.shutdown(socket.SHUT_RDWR)
                request.close_connection = True
            case "slow":
                self.released.wait(HANGS)
            case "500":
                request.send_error(500)
            case "redirect":
                request.send_response(307)
                request.send_header("Location", f"http://localhost:{self.port}/elsewhere")
                request.end_headers()
            case _:
                self.received.append(json.loads(body))
                request.send_response(204)
                request.end_headers()
