"""The directory of a run: `spec.json` (what it is), `output` (what it printed), `end.json` (how it ended), `monitor`.

The monitor of the run holds a lock on `monitor` for as long as it lives, and writes `end.json` last.
"""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING, Any

from twelfth.engines import multiplex
from twelfth.engines.json_file import has_shape, read_json
from twelfth.engines.local.tail import tail
from twelfth.model.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    Frames = Iterator[tuple[int, bytes]]

RECORD = {"command": list, "release": str, "operator": str, "reason": str, "overrides": list, "started": str}
END = {"started": str, "finished": str, "seconds": float | int, "state": str, "exit_code": int}
"""What a file must hold, at least, to be one of a run's."""


def make_private(home: Path, *below: str) -> None:
    """Make a directory below `home`, and `home` as one that only this user may enter, whatever the umask."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.joinpath(*below).mkdir(parents=True, exist_ok=True)


def records(home: Path) -> tuple[Run, ...]:
    """Return the records of the runs below `home`, the oldest first; what is no record is left out."""
    specs = {path.parent: read_json(path) for path in home.glob("runs/*/spec.json")}
    found = [_record(directory, spec) for directory, spec in specs.items() if has_shape(spec, RECORD)]
    return tuple(sorted(found, key=lambda run: run.started))


def _record(directory: Path, spec: dict[str, Any]) -> Run:
    end = read_json(directory / "end.json")
    end = end if has_shape(end, END) else {}
    return Run(
        id=directory.name,
        command=tuple(map(str, spec["command"])),
        engine="local",
        release=spec["release"],
        image=spec["release"],
        operator=spec["operator"],
        reason=spec["reason"],
        overrides=tuple(map(str, spec["overrides"])),
        started=end.get("started", spec["started"]),
        finished=end.get("finished", ""),
        seconds=end.get("seconds"),
        state=end.get("state") or _state(directory),
        exit_code=end.get("exit_code"),
        purpose=str(spec.get("purpose", "")),
    )


def _state(directory: Path) -> str:
    """Return the state of a run that left no record of its end: `created` where its monitor never started it."""
    if monitor_of(directory):
        return "running"
    with contextlib.suppress(OSError):
        return "lost" if (directory / "monitor").stat().st_size else "created"
    return "created"


def monitor_of(directory: Path) -> int:
    """Return the process that monitors the run, 0 where it has ended."""
    if (directory / "end.json").exists():
        return 0
    with contextlib.suppress(OSError), (directory / "monitor").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0)
    return 0


def output(directory: Path, *, follow: bool, last: int | None = None, since: datetime | None = None) -> Frames:
    """Yield (STDOUT or STDERR, bytes) of what the recorder kept of the output; with `follow`, until the run has ended.

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
