"""One command at a time that changes a stack on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from twelfth.errors import BusyError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twelfth.model.stack import Stack


@contextlib.contextmanager
def hold_lock(stack: Stack) -> Iterator[None]:
    """Hold the stack's lock on this machine; a process that dies frees it, whatever it dies of.

    Raises `BusyError`, naming the holder, where another command changes the same stack.
    """
    path = stack.directory / ".twelfth" / f"{stack.project}.lock"
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise EngineError(f"cannot write {error.filename}: {error.strerror}; mend that, then repeat it") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise BusyError(f"{holder} is changing this stack; let it finish, then repeat the command") from error
        _sign(path)
        yield
        path.write_bytes(b"")


def _sign(path: Path) -> None:
    """Write who holds the lock; on a full disk the lock is held all the same, and `down` must still work."""
    with contextlib.suppress(OSError):
        path.write_text(f"process {os.getpid()} (since {time.strftime('%H:%M:%S')})", "utf-8")
