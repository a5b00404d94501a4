"""What a run's monitor writes: the output as frames, the exit, and a lock that shows that the run is monitored."""

from __future__ import annotations

import fcntl
import json
import os
import time
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from twelfth.engines import multiplex

if TYPE_CHECKING:
    from pathlib import Path

RECORD_SIZE = 512
"""Bytes that are reserved before the run starts, so that its exit can be recorded on a full disk."""

LIMIT = 256 << 20
"""Bytes of a run's output that are recorded, including the headers of frames."""

RESOLUTION = 0.01
"""Seconds by which recorded times may be wrong: frames with the time are not written more often."""


class Recorder:
    """Writes to the directory of one run."""

    def __init__(self, directory: Path, *, keeps_output: bool, limit: int = LIMIT) -> None:
        """Create the files; raises `OSError`."""
        self.directory, self.limit = directory, limit
        self.cut = ""
        """Why the rest of the output is not recorded, and what to do; an empty string while all of it is."""
        self._size = 0
        self._time = 0.0
        self._log: IO[bytes] | None = (directory / "output").open("wb", buffering=0) if keeps_output else None
        self._staged = directory / "end.json.new"
        self._staged.write_bytes(b" " * RECORD_SIZE)

    def hold_lock(self) -> None:
        """Lock a file with the monitor's process id until this process exits, to show that the run is monitored."""
        self._monitor = (self.directory / "monitor").open("wb", buffering=0)
        fcntl.flock(self._monitor, fcntl.LOCK_EX)
        self._monitor.write(str(os.getpid()).encode())

    def mark_as_never_started(self) -> None:
        """Show other processes that the run never started."""
        os.truncate(self.directory / "monitor", 0)

    def write(self, stream: int, data: bytes) -> None:
        """Record output, and stop recording when the disk is full: half a frame would garble all later ones."""
        if not self._log:
            return
        frames = self._time_frame() + multiplex.frame(stream, data)
        self._size += len(frames)
        if self._size > self.limit:
            self._cut(f"the limit of {self.limit >> 20} MiB")
            return
        try:
            _write_all(self._log, frames)
        except OSError as error:
            self._cut(f"{error.strerror or error}; see: df -h")

    def _cut(self, why: str) -> None:
        """Stop recording the output."""
        if self._log:
            self._log.close()
        self._log, self.cut = None, why

    def _time_frame(self) -> bytes:
        """Return a frame with the time (seconds since 1970), or nothing shortly after the last one."""
        now = time.time()
        if abs(now - self._time) < RESOLUTION:
            return b""
        self._time = now
        return multiplex.frame(multiplex.TIME, f"{now:.3f}".encode())

    def record_end(self, started: datetime, seconds: float, state: str, code: int) -> None:
        """Write the run's exit into the reserved bytes; raises `OSError`."""
        record = {
            "started": started.isoformat(),
            "finished": datetime.now(UTC).isoformat(),
            "seconds": round(seconds, 3),
            "state": state,
            "exit_code": code,
            "cut": self.cut,
        }
        with self._staged.open("r+b") as file:
            file.write(json.dumps(record).ljust(RECORD_SIZE).encode())
        self._staged.replace(self.directory / "end.json")


def _write_all(target: IO[bytes], data: bytes) -> None:
    """Write to an unbuffered file, which may accept only a part of the data at a time."""
    while data:
        data = data[target.write(data) :]
