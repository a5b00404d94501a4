"""A run in a container, attached to before it started so that nothing it prints is lost."""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth.engines import end_of_input, multiplex
from twelfth.engines.contract import Session
from twelfth.engines.docker_api.errors import docker_errors
from twelfth.engines.docker_api.run_record import exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

LOST = "the connection to the run broke ({}); it may well go on, see: invoke history"

NEVER_TYPED = b"\xff,\xff"
"""Keys at which the daemon would detach the client; its default, Ctrl-P Ctrl-Q, is detected on this side instead.

No key sends this byte, which UTF-8 does not have. The daemon would also delay a Ctrl-P until the next key.
"""

RECORDED_WITHIN = 10
"""Seconds from the end of a run's streams to its exit code. One that has none by then has not ended: Docker's init,
its first process, holds the streams open for as long as it lives."""


class DockerSession(Session):
    """The attached streams of one container."""

    def __init__(
        self, api: docker.APIClient, identity: str, *, tty: bool, interactive: bool, limited: bool = False
    ) -> None:
        """Attach to a container that is not started yet; `limited` if its run has a time limit."""
        self.api, self.identity, self.tty, self.limited = api, identity, tty, limited
        wanted = {"stdin": int(interactive), "stdout": 1, "stderr": 1, "stream": 1, "detachKeys": NEVER_TYPED}
        answer = api.attach_socket(identity, params=wanted)
        self.socket: socket.socket = getattr(answer, "_sock", answer)
        self.socket.settimeout(None)
        self._answer, self._response = answer, getattr(answer, "_response", answer)
        self._broken: OSError | None = None
        if tty and interactive:
            end_of_input.leave_behind(self.socket)

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield what the run prints; a connection that breaks ends it, and `wait` says why."""
        try:
            yield from (multiplex.raw if self.tty else multiplex.output)(self.socket.recv)
        except OSError as error:
            self._broken = error

    def write_stdin(self, data: bytes) -> None:
        """Give the run input."""
        self.socket.sendall(data)

    def close_stdin(self) -> None:
        """Close the run's input: half of the connection is enough for that."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the run's terminal its size; one that has ended, 409, needs none."""
        with docker_errors(), contextlib.suppress(APIError):
            self.api.resize(self.identity, rows, columns)

    def signal(self, number: int) -> None:
        """Send the process a signal; 409 is the answer for one that runs no more."""
        with docker_errors(), contextlib.suppress(APIError):
            self.api.kill(self.identity, signal.Signals(number).name)

    def wait(self) -> int:
        """Return the exit code; raises `EngineError` where the connection broke, for nobody knows what it missed."""
        with docker_errors(gone=LOST):
            if self._broken:
                raise self._broken
            code = int(self.api.wait(self.identity, timeout=RECORDED_WITHIN)["StatusCode"])
            self.close()
            return exit_code(self.api.inspect_container(self.identity)) if code or self.limited else 0

    def close(self) -> None:
        """Close the streams: first the response, which reads from the socket.

        Otherwise Python 3.13 prints an ignored exception when the response is collected.
        """
        self._response.close()
        self._answer.close()
        self.socket.close()
