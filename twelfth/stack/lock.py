"""The lock of a stack: only one command at a time changes it on this machine."""

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
    """Hold the stack's lock on this machine to do `what`. The kernel releases it if this process dies.

    Raises `BusyError` with the holder's name if another command has the lock.
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
            raise BusyError(f"the stack is locked: {holder} is changing it. Try again when that is done") from error
        _sign(path, what)
        yield
        path.write_bytes(b"")


TRIES, PAUSE = 10, 0.02
"""Attempts to get the lock, and seconds between them: `holder` of another process locks it for a moment."""


def _lock(file: TextIO) -> None:
    for _ in range(TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(PAUSE)
    raise BlockingIOError


def holder(stack: Stack) -> str:
    """Return who is changing the stack on this machine and what they do, "" if no one is."""
    path = _path(stack)
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return printable(path.read_text("utf-8", "replace").strip()) or "another process"
    except OSError:  # it does not exist yet, or belongs to another user: the holder is unknown
        return ""
    return ""


def _path(stack: Stack) -> Path:
    return stack.directory / ".twelfth" / f"{stack.project}.lock"


def _sign(path: Path, what: str) -> None:
    with contextlib.suppress(OSError):  # on a full disk `down` must still work
        path.write_text(f"{operator()} ({what} since {time.strftime('%H:%M:%S')}, process {os.getpid()})", "utf-8")
