"""Read a growing file to its end, and on; and a log, which supervisord splits into files."""

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
"""Seconds between two looks at a file that did not grow."""


@dataclass
class Place:
    """Up to where a file was read, and which file that was."""

    position: int = 0
    inode: int = 0


def tail(path: Path, goes_on: Callable[[], bool], place: Place | None = None) -> Iterator[bytes]:
    """Yield what a file holds behind a place, and what is added while `goes_on()`."""
    place = place or Place()
    while True:
        last_look = not goes_on()
        yield from _read_on(path, place)
        if last_look:
            return
        time.sleep(POLL)


def _read_on(path: Path, place: Place) -> Iterator[bytes]:
    """Yield what a file holds behind a place; one that was put in its stead is read from its beginning."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return
    if now.st_ino != place.inode or now.st_size < place.position:
        yield from _rotated_since(path, place)
        place.position, place.inode = 0, now.st_ino
    yield from _pieces(path, place)


def _rotated_since(path: Path, place: Place) -> Iterator[bytes]:
    """Yield the rest of a file that was rotated since it was read to a place, and what was rotated after it."""
    rotated = {inode: each for each in _rotated(path) if (inode := _inode(each))}
    if place.inode in rotated:
        yield from _pieces(rotated[place.inode], place)
        for each in list(rotated.values())[list(rotated).index(place.inode) + 1 :]:
            yield from _pieces(each, Place())


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
    path: Path, goes_on: Callable[[], bool], *, last: int | None = None, since: datetime | None = None
) -> Iterator[bytes]:
    """Yield what a log holds, from the first of the rotated files on, and what is added while `goes_on()`.

    Begins `last` lines before the end of what it holds now and not before `since`, where these are given.
    """
    place = Place(inode=_inode(path))
    held: Iterable[bytes] = itertools.chain(_older(path, place.inode), _read_on(path, place))
    if since:
        held = _printed_since(since, held, _first_time(path))
    yield from held if last is None else deque(lines(held), last)
    for piece in tail(path, goes_on, place):
        if since is None or datetime.now(UTC) >= since:
            yield piece


def _rotated(path: Path) -> list[Path]:
    """Return the rotated files, which have the log's older lines, the oldest first."""
    found = [each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:].isdigit()]
    return sorted(found, key=lambda each: int(each.suffix[1:]), reverse=True)


def _older(path: Path, than: int) -> Iterator[bytes]:
    """Yield what the files before the one with an inode hold, wherever it is by now."""
    for each in itertools.takewhile(lambda each: _inode(each) != than, _rotated(path)):
        yield from _pieces(each, Place())


def _first_time(path: Path) -> datetime:
    """Return the time of the first line of a log that has one, else when it was last written to."""
    held = lines(itertools.chain(_older(path, _inode(path)), _pieces(path, Place())))
    if found := next(filter(None, map(_time, held)), None):
        return found
    with contextlib.suppress(FileNotFoundError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.fromtimestamp(0, UTC)


def _printed_since(moment: datetime, pieces: Iterable[bytes], first: datetime) -> Iterator[bytes]:
    """Yield the lines of a log that were printed at a moment or later.

    The time of a line is the `time` (ISO 8601) of the JSON object that it is; that of any other is the last one's
    before it, and `first` where there is none.
    """
    is_late = first >= moment
    for line in lines(pieces):
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
