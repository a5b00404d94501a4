"""Read a growing file to its end, and on."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PIECE = 1 << 16
POLL = 0.1
"""Seconds between two looks at a file that did not grow."""


def tail(path: Path, goes_on: Callable[[], bool], last: int | None = None) -> Iterator[bytes]:
    """Yield what a file holds, and what is added while `goes_on()`; a file that is replaced is read from its beginning.

    With `last`, begin so many lines before the end of what it holds now.
    """
    position, inode = (0, 0) if last is None or not path.exists() else _last_lines(path, last)
    while True:
        last_look = not goes_on()
        if path.exists():
            now = path.stat()
            if now.st_ino != inode or now.st_size < position:
                position, inode = 0, now.st_ino
            with path.open("rb") as file:
                file.seek(position)
                while piece := file.read(PIECE):
                    position += len(piece)
                    yield piece
        if last_look:
            return
        time.sleep(POLL)


def _last_lines(path: Path, count: int) -> tuple[int, int]:
    """Return where the last lines of a file begin, and which file it is."""
    starts: deque[int] = deque(maxlen=count)
    with path.open("rb") as file:
        end = 0
        for line in file:
            starts.append(end)
            end += len(line)
        return starts[0] if starts else end, os.fstat(file.fileno()).st_ino
