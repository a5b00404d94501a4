"""Follow a growing file, and read a log that supervisord rotates into several files."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.engines.lines import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

PIECE = 1 << 16
POLL = 0.1
"""Seconds between two checks whether a file has grown."""


@dataclass
class Place:
    """The position in a file up to which it was read, and the file's inode."""

    position: int = 0
    inode: int = 0


def tail(path: Path, continues: Callable[[], bool], place: Place | None = None) -> Iterator[bytes]:
    """Yield a file's content from a place on, and what is appended while `continues()`."""
    place = place or Place()
    while True:
        is_last_read = not continues()
        yield from _read_on(path, place)
        if is_last_read:
            return
        time.sleep(POLL)


def _read_on(path: Path, place: Place) -> Iterator[bytes]:
    """Yield a file's content from a place on; a file that replaced it is read from its beginning."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    if status.st_ino != place.inode or status.st_size < place.position:
        yield from _rotated_since(path, place)
        place.position, place.inode = 0, status.st_ino
    yield from _pieces(path, place)


def _rotated_since(path: Path, place: Place) -> Iterator[bytes]:
    """Yield the rest of a file that was rotated since it was read up to a place, and the files rotated after it."""
    rotated = {inode: file for file in _rotated(path) if (inode := _inode(file))}
    if place.inode in rotated:
        yield from _pieces(rotated[place.inode], place)
        for file in list(rotated.values())[list(rotated).index(place.inode) + 1 :]:
            yield from _pieces(file, Place())


def _inode(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ino
    return 0


def _pieces(path: Path, place: Place) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(place.position)
        while piece := file.read(PIECE):
            place.position += len(piece)
            yield piece


def log(
    path: Path, continues: Callable[[], bool], *, last: int | None = None, since: datetime | None = None
) -> Iterator[bytes]:
    """Yield a log's content, starting with the oldest rotated file, and what is appended while `continues()`.

    `last` limits the present content to this many lines before its end, `since` to lines of that time or later.
    """
    place = Place(inode=_inode(path))
    content: Iterable[bytes] = itertools.chain(_older(path, place.inode), _read_on(path, place))
    if since:
        content = _printed_since(since, content, _first_time(path))
    yield from content if last is None else deque(lines(content), last)
    for piece in tail(path, continues, place):
        if since is None or datetime.now(UTC) >= since:
            yield piece


def _rotated(path: Path) -> list[Path]:
    """Return the rotated files, which have the log's older lines, the oldest first."""
    files = [file for file in path.parent.glob(f"{path.name}.*") if file.suffix[1:].isdigit()]
    return sorted(files, key=lambda file: int(file.suffix[1:]), reverse=True)


def _older(path: Path, inode: int) -> Iterator[bytes]:
    """Yield the content of the rotated files before the one with an inode, which may be rotated itself by now."""
    for file in itertools.takewhile(lambda file: _inode(file) != inode, _rotated(path)):
        yield from _pieces(file, Place())


def _first_time(path: Path) -> datetime:
    """Return the time of the first line of a log that has a time, else the time of the last write."""
    content = lines(itertools.chain(_older(path, _inode(path)), _pieces(path, Place())))
    if time_ := next(filter(None, map(_time, content)), None):
        return time_
    with contextlib.suppress(FileNotFoundError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.fromtimestamp(0, UTC)


def _printed_since(moment: datetime, pieces: Iterable[bytes], first: datetime) -> Iterator[bytes]:
    """Yield the lines of a log that were printed at a moment or later.

    A line that is a JSON object has its time in `time` (ISO 8601). Any other line has the time of the last such line
    before it, or `first` if there is none.
    """
    is_late = first >= moment
    for line in lines(pieces):
        if time_ := _time(line):
            is_late = time_ >= moment
        if is_late:
            yield line


def _time(line: bytes) -> datetime | None:
    try:
        time_ = datetime.fromisoformat(json.loads(line)["time"])
    except (ValueError, KeyError, TypeError):
        return None
    return time_ if time_.tzinfo else time_.astimezone()
