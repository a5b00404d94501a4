"""The streams of a container, or of a command in it, on one connection to the daemon."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from twelfth.engines import multiplex
from twelfth.engines.contract import Session

if TYPE_CHECKING:
    from collections.abc import Iterator


class AttachedSession(Session):
    """Attached streams; `answer` is the SDK's object for the connection."""

    def __init__(self, answer: Any, *, tty: bool) -> None:
        """Take the socket of the answer, without a time limit."""
        self.tty = tty
        self.socket: socket.socket = getattr(answer, "_sock", answer)
        self._answer, self._response = answer, getattr(answer, "_response", answer)
        self._ahead = self._read_ahead()
        self.socket.settimeout(None)
        self._broken: OSError | None = None

    def _read_ahead(self) -> bytes:
        # A command runs before its client has read the headers: its first output may be in their buffer already.
        self.socket.settimeout(0)
        with contextlib.suppress(OSError):  # TLS has no more data now
            ahead: bytes = self._response.raw._fp.fp.peek()  # noqa: SLF001 - the SDK returns the socket below it
            return ahead
        return b""

    def _read(self, at_most: int) -> bytes:
        ahead, self._ahead = self._ahead, b""
        return ahead or self.socket.recv(at_most)

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield the output; if the connection breaks, the output ends, and `wait` raises the reason."""
        try:
            yield from (multiplex.raw if self.tty else multiplex.output)(self._read)
        except OSError as error:
            self._broken = error

    def write_stdin(self, data: bytes) -> None:
        """Write to the stdin of the process."""
        self.socket.sendall(data)

    def close_stdin(self) -> None:
        """Close the stdin of the process by closing one direction of the connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def raise_broken(self) -> None:
        """Raise the error that ended the output, if there was one: output may be missing."""
        if self._broken:
            raise self._broken

    def close(self) -> None:
        """Close the streams: first the response, which reads from the socket.

        Otherwise Python 3.13 prints an ignored exception when the response is collected.
        """
        self._response.close()
        self._answer.close()
        self.socket.close()
