"""One command at a time that changes a stack on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, TextIO

from twelfth.engines.disk_errors import REPEAT, disk_errors
from twelfth.engines.own_directory import make_own_directory
from twelfth.errors import BusyError
from twelfth.operator_name import operator
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twelfth.model.stack import Stack


@contextlib.contextmanager
def hold_lock(stack: Stack, what: str) -> Iterator[None]:
    """Hold the stack's lock on this machine to do `what`; a process that dies frees it, whatever it dies of.

    Raises `BusyError`, naming the holder, where another command changes the same stack.
    """
    path = _path(stack)
    with disk_errors(path, REPEAT):
        make_own_directory(path.parent)
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            _lock(file)
        except BlockingIOError as error:
            file.seek(0)
            holder = printable(file.read().strip()) or "another process"
            raise BusyError(f"{holder} is changing this stack; let it finish, then repeat the command") from error
        _sign(path, what)
        yield
        path.write_bytes(b"")


TRIES, PAUSE = 10, 0.02
"""How often the lock is tried, and seconds between: whoever asks who holds it has it for a moment."""


def _lock(file: TextIO) -> None:
    for _ in range(TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(PAUSE)
    raise BlockingIOError


def holder(stack: Stack) -> str:
    """Return who changes the stack now, on this machine, and what he does; an empty string for nobody."""
    path = _path(stack)
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return printable(path.read_text("utf-8", "replace").strip()) or "another process"
    except OSError:  # there is none, for nothing was changed here yet, or it is another user's: nobody is known
        return ""
    return ""


def _path(stack: Stack) -> Path:
    return stack.directory / ".twelfth" / f"{stack.project}.lock"


def _sign(path: Path, what: str) -> None:
    """Write who holds the lock; on a full disk the lock is held all the same, and `down` must still work."""
    with contextlib.suppress(OSError):
        path.write_text(f"{operator()} ({what} since {time.strftime('%H:%M:%S')}, process {os.getpid()})", "utf-8")
