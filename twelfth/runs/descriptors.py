"""Read and write file descriptors that other programs may share, and whose flags are therefore left as they are.

`O_NONBLOCK` belongs to the open file description. A program that set it on a pipe or a terminal, and passed that on,
makes every read and write of ours fail with EAGAIN as long as there is nothing to read or no room to write.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time

PIECE = 1 << 16
NO_JOB = 0
"""What controls no session has no job in the foreground, such as the far end of a terminal that was closed."""

LOOK_EVERY = 0.2
"""Seconds between two looks whether a background job was brought to the foreground."""


def read(source: int) -> bytes:
    """Return the next bytes, b"" at the end of input; wait until there are some.

    A background job waits until it is brought to the foreground. Call `block_terminal_stops` first in its thread.
    """
    while True:
        try:
            return os.read(source, PIECE)
        except BlockingIOError:
            select.select([source], [], [])
        except OSError as error:
            if error.errno != errno.EIO or not is_in_background(source):
                raise
            time.sleep(LOOK_EVERY)


def write(target: int, data: bytes | memoryview) -> None:
    """Write all the bytes; wait while there is no room."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(target, rest) :]
        except BlockingIOError:
            select.select([], [target], [])


def block_terminal_stops() -> None:
    """Make a read from the terminal in this thread fail with EIO in a background job, which SIGTTIN would stop.

    The signal is blocked and not ignored: the processes that are started here would inherit that.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})


def is_in_background(terminal: int) -> bool:
    """Return whether another job has this terminal; False for one that does not control this process."""
    try:
        return os.tcgetpgrp(terminal) not in {NO_JOB, os.getpgrp()}
    except OSError:
        return False
