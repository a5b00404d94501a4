"""The end of input for a run on a terminal whose client has died, so that a prompt does not wait for ever.

A run without a terminal sees the end of its input when its client goes; a terminal has no such end, only the key that
means one. So that key is typed in the client's place. A run that reads nothing does not notice, and goes on to its end.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

END = b"\x15\x04"
"""Ctrl-U, Ctrl-D: a line that was half typed is cleared, never entered, with line editing or without."""

FIRST_PAUSE = 1.0
"""Seconds of silence before the end is typed; each pause is twice as long as the one before."""


def type_end(send: Callable[[bytes], object], ended_within: Callable[[float], bool]) -> None:
    """Type the end of input until the run has ended: what is not at a prompt now may come to one later."""
    pause = FIRST_PAUSE
    while not ended_within(pause):
        send(END)
        pause *= 2


def leave_behind(connection: socket.socket) -> None:
    """Make a process that waits for the death of this one, and then types the end of input to a run that goes on."""
    read_end, write_end = os.pipe()  # the write end is closed by the death of this process, and by nothing else
    if os.fork():
        os.close(read_end)
        return
    try:
        _detach(write_end)
        os.read(read_end, 1)
        type_end(connection.sendall, lambda seconds: _ended_within(connection, seconds))
    finally:
        os._exit(0)


def _detach(descriptor: int) -> None:
    """Leave the client's terminal and its session, which end with it, and its answers to signals."""
    os.setsid()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(name, signal.SIG_DFL)
    os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)


def _ended_within(connection: socket.socket, seconds: float) -> bool:
    """Return whether the run closes the connection before it is silent for so long; what it prints must be taken."""
    connection.settimeout(seconds)
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    return True
