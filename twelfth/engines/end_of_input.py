"""Type the end of input on the terminal of a run whose client has died, so that a prompt does not wait forever.

Without a terminal, a run's input ends when its client dies. A terminal has no such end, only a key for it. A run that
reads no input does not notice the key, and continues (docs/runs.md).
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

END = b"\x15\x04"
"""Ctrl-U, Ctrl-D: a half-typed line is cleared and never entered, with line editing or without."""

FIRST_PAUSE = 1.0
"""Seconds without output before the key is typed; each pause is twice as long as the one before."""


def type_end(send: Callable[[bytes], object], ended_within: Callable[[float], bool]) -> None:
    """Type the end of input until the run exits: a run that is not at a prompt now may get to one later."""
    pause = FIRST_PAUSE
    while not ended_within(pause):
        send(END)
        pause *= 2


def leave_behind(connection: socket.socket) -> None:
    """Fork a process that waits for the death of this one, and then types the end of input to a run that continues."""
    read_end, write_end = os.pipe()  # only the death of this process closes the write end
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
    """Leave the client's terminal, session and signal handlers, which end with it."""
    os.setsid()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(name, signal.SIG_DFL)
    os.close(descriptor)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)


def _ended_within(connection: socket.socket, seconds: float) -> bool:
    """Return whether the run exits before it prints nothing for `seconds`; its output has to be read, or it blocks."""
    connection.settimeout(seconds)
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    return True
