"""What is kept of a run's output: frames, with the time between them (`recorder.py` writes it)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.engines import multiplex
from twelfth.engines.json_file import read_json
from twelfth.engines.local.run_directory import monitor_of
from twelfth.engines.local.tail import tail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    Frames = Iterator[tuple[int, bytes]]


def output(directory: Path, *, follow: bool, last: int | None = None, since: datetime | None = None) -> Frames:
    """Yield (STDOUT or STDERR, bytes) of what is kept of the output; with `follow`, until the run has ended.

    Begins `last` lines before the end and not before `since`, where these are given.
    """
    path = directory / "output"
    skipped = 0 if last is None else max(0, _lines(path) - last)
    found = _frames(tail(path, lambda: follow and monitor_of(directory) != 0))
    yield from _since(since, _after_lines(skipped, found))
    if why := read_json(directory / "end.json").get("cut"):
        yield multiplex.STDERR, f"twelfth: what is kept of this output ends here: {why}\n".encode()


def _lines(path: Path) -> int:
    """Return how many lines there are now, of both streams together; the last one may lack its end."""
    count, is_whole = 0, True
    for stream, data in _frames(tail(path, lambda: False)):
        if stream != multiplex.TIME:
            count, is_whole = count + data.count(b"\n"), data.endswith(b"\n")
    return count + (not is_whole)


def _after_lines(count: int, frames: Frames) -> Frames:
    """Yield the frames without their first so many lines."""
    for stream, data in frames:
        if stream == multiplex.TIME:
            yield stream, data
            continue
        *skipped, rest = data.split(b"\n", count) if count else [data]
        count -= len(skipped)
        if not count and rest:
            yield stream, rest


def _since(moment: datetime | None, frames: Frames) -> Frames:
    """Yield the output of the frames, that of a moment or later where one is given, and that of an unknown time."""
    is_late = True
    for stream, data in frames:
        if stream == multiplex.TIME:
            is_late = moment is None or float(data) >= moment.timestamp()
        elif is_late:
            yield stream, data


def _frames(pieces: Iterator[bytes]) -> Frames:
    return multiplex.output(lambda _: next(pieces, b""))
