"""Read a growing file to its end, and on."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

from twelfth.engines.lines import whole_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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
                yield from _rest(path.with_name(f"{path.name}.1"), inode, position)
                position, inode = 0, now.st_ino
            with path.open("rb") as file:
                file.seek(position)
                while piece := file.read(PIECE):
                    position += len(piece)
                    yield piece
        if last_look:
            return
        time.sleep(POLL)


def log(path: Path, goes_on: Callable[[], bool], last: int | None = None) -> Iterator[bytes]:
    """Yield what a log holds, as `tail` does, from the first of the files on which supervisord has put aside."""
    older = (line for each in _put_aside(path) for line in _lines(each))
    yield from older if last is None else deque(older, max(0, last - sum(1 for _ in _lines(path))))
    yield from tail(path, goes_on, last)


def _put_aside(path: Path) -> list[Path]:
    """Return the files with the log's older lines, the oldest first."""
    found = [each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:].isdigit()]
    return sorted(found, key=lambda each: int(each.suffix[1:]), reverse=True)


def _lines(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        yield from file


def _rest(path: Path, inode: int, position: int) -> Iterator[bytes]:
    """Yield what was added to a file that was put aside since it was read to a position."""
    if path.exists() and path.stat().st_ino == inode:
        with path.open("rb") as file:
            file.seek(position)
            yield file.read()


def printed_since(moment: datetime, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a log that were printed at a moment or later.

    A line is a JSON object with a `time` of ISO 8601, or as old as the last one before it that is.
    """
    is_late = False
    for line in whole_lines(pieces):
        if time_ := _time(line):
            is_late = time_ >= moment
        if is_late:
            yield line


def _time(line: bytes) -> datetime | None:
    try:
        found = datetime.fromisoformat(json.loads(line)["time"])
    except (ValueError, KeyError, TypeError):
        return None
    return found if found.tzinfo else found.astimezone()


def _last_lines(path: Path, count: int) -> tuple[int, int]:
    """Return where the last lines of a file begin, and which file it is."""
    starts: deque[int] = deque(maxlen=count)
    with path.open("rb") as file:
        end = 0
        for line in file:
            starts.append(end)
            end += len(line)
        return starts[0] if starts else end, os.fstat(file.fileno()).st_ino
