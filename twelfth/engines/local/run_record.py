"""The directory of a run: `spec.json` (its specification), `output`, `end.json` (how it exited), and `monitor`.

The run's monitor holds a lock on `monitor` while it is running, and writes `end.json` last. Before the start there is a
file `unstarted`: a file can be removed on a full disk, too.
"""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING, Any

from twelfth.engines import multiplex
from twelfth.engines.json_file import has_shape, read_json
from twelfth.engines.local.tail import tail
from twelfth.model.run import OPERATOR, Run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime
    from pathlib import Path

    Frames = Iterator[tuple[int, bytes]]

UNSTARTED = "unstarted"

RECORD = {"command": list, "release": str, "operator": str, "reason": str, "overrides": list, "started": str}
END = {"started": str, "finished": str, "seconds": float | int, "state": str, "exit_code": int}
"""The values that `spec.json` and `end.json` must have, at least."""


def make_private(home: Path, *below: str) -> None:
    """Create a directory below `home`, and `home` so that only this user may enter it, independent of the umask.

    The same goes for the parent of `home`: that of the state is the directory of the project.
    """
    home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # `parents` alone ignores the mode
    home.mkdir(mode=0o700, exist_ok=True)
    home.joinpath(*below).mkdir(parents=True, exist_ok=True)


def records(home: Path, ids: Collection[str] | None = None) -> tuple[Run, ...]:
    """Return the records of these runs below `home`, by default all, the oldest first, without incomplete ones."""
    directories = home.glob("runs/*/") if ids is None else (home / "runs" / run_id for run_id in ids)
    specs = {directory: read_json(directory / "spec.json") for directory in directories}
    runs = [_record(directory, spec) for directory, spec in specs.items() if has_shape(spec, RECORD)]
    return tuple(sorted(runs, key=lambda run: run.started))


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
        host=str(spec.get("host", "")),
        kind=str(spec.get("kind", "run")),
        what=str(spec.get("what", "")),
        job=str(spec.get("job", "")),
        trigger=str(spec.get("trigger", OPERATOR)),
        notify=str(spec.get("notify", "")),
        discards_output=not spec.get("kept", True),
    )


def _state(directory: Path) -> str:
    """Return the state of a run without a recorded exit: `created` if its monitor has not started it."""
    if monitor_of(directory):
        return "created" if (directory / UNSTARTED).exists() else "running"
    with contextlib.suppress(OSError):
        return "lost" if (directory / "monitor").stat().st_size else "created"
    return "created"


def monitor_of(directory: Path) -> int:
    """Return the process id of the run's monitor, 0 if it has exited."""
    if (directory / "end.json").exists():
        return 0
    with contextlib.suppress(OSError), (directory / "monitor").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0)
    return 0


def output(directory: Path, *, follow: bool, last: int | None = None, since: datetime | None = None) -> Frames:
    """Yield the recorded output as (STDOUT or STDERR, bytes); with `follow`, until the run has exited.

    `last` limits it to this many lines before the end, `since` to output of that time or later.
    """
    path = directory / "output"
    skipped = 0 if last is None else max(0, _lines(path) - last)
    frames = _frames(tail(path, lambda: follow and monitor_of(directory) != 0))
    yield from _since(since, _after_lines(skipped, frames))
    if why := read_json(directory / "end.json").get("cut"):
        yield multiplex.STDERR, f"twelfth: the rest of this output is not recorded: {why}\n".encode()


def _lines(path: Path) -> int:
    """Return the number of lines of both streams together; the last one may be incomplete."""
    count, is_complete = 0, True
    for stream, data in _frames(tail(path, lambda: False)):
        if stream != multiplex.TIME:
            count, is_complete = count + data.count(b"\n"), data.endswith(b"\n")
    return count + (not is_complete)


def _after_lines(count: int, frames: Frames) -> Frames:
    for stream, data in frames:
        if stream == multiplex.TIME:
            yield stream, data
            continue
        *skipped, rest = data.split(b"\n", count) if count else [data]
        count -= len(skipped)
        if not count and rest:
            yield stream, rest


def _since(moment: datetime | None, frames: Frames) -> Frames:
    """Yield the output in the frames from a moment on, if one is given; output of an unknown time is included."""
    is_late = True
    for stream, data in frames:
        if stream == multiplex.TIME:
            is_late = moment is None or float(data) >= moment.timestamp()
        elif is_late:
            yield stream, data


def _frames(pieces: Iterator[bytes]) -> Frames:
    return multiplex.output(lambda _: next(pieces, b""))
