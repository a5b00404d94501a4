"""The connection of a run's monitor to whoever started the run, for as long as that is there.

Bytes go in and out on `streams`, signals and sizes come on `control`, so that input which nobody reads holds up no
signal.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from twelfth.engines import multiplex

if TYPE_CHECKING:
    import socket


class Client:
    """The client of one run, over its two sockets."""

    def __init__(self, streams: socket.socket, control: socket.socket) -> None:
        """Take the connections."""
        self.streams = streams
        self.input, self.control = multiplex.frames(streams.recv), multiplex.frames(control.recv)
        self._is_there = True

    def send(self, kind: int, data: bytes) -> None:
        """Send a frame; a client that has gone gets no more."""
        if self._is_there:
            try:
                self.streams.sendall(multiplex.frame(kind, data))
            except OSError:
                self._is_there = False

    def says_start(self) -> bool:
        """Return whether it says, once it is sent that all is ready, that the run is to start; False if it has gone."""
        self.send(multiplex.READY, b"")
        with contextlib.suppress(OSError):
            return self._is_there and next(self.input, None) is not None
        return False
