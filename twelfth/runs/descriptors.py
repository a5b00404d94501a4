"""Read and write file descriptors that other programs may share, without changing their flags.

`O_NONBLOCK` belongs to the open file description. If another program has set it on a shared pipe or terminal, reads and
writes here fail with EAGAIN while there is no data or no room.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time

PIECE = 1 << 16
NO_JOB = 0
"""Errors of a terminal without a foreground job, such as one whose other end was closed."""

LOOK_EVERY = 0.2
"""Seconds between checks whether a background job is in the foreground."""


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
    """Make this thread's reads from the terminal fail with EIO in the background instead of stopping the job.

    SIGTTIN is blocked instead of ignored, since child processes inherit ignored signals.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})


def is_in_background(terminal: int) -> bool:
    """Return whether another job is in the terminal's foreground; False for a terminal of another session."""
    try:
        return os.tcgetpgrp(terminal) not in {NO_JOB, os.getpgrp()}
    except OSError:
        return False
