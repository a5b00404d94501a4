"""What a run's monitor keeps: the output as frames, how it ended, and that somebody monitors it."""

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
"""Bytes of a record, reserved before the run starts so that a full disk cannot take its end away."""

LIMIT = 256 << 20
"""Bytes that are kept of a run's output, with what they are framed by."""

RESOLUTION = 0.01
"""Seconds by which the time of what is kept may be wrong: a frame with the time is not written more often."""


class Recorder:
    """The directory of one run, as its monitor writes it."""

    def __init__(self, directory: Path, *, keeps_stdout: bool, limit: int = LIMIT) -> None:
        """Make the files; raises `OSError` where they cannot be written."""
        self.directory, self.keeps_stdout, self.limit = directory, keeps_stdout, limit
        self.cut = ""
        """Why what is kept of the output ends before the output does, and what to do, or an empty string."""
        self._kept = 0
        self._time = 0.0
        self._log: IO[bytes] | None = (directory / "output").open("wb", buffering=0)
        self._staged = directory / "end.json.new"
        self._staged.write_bytes(b" " * RECORD_SIZE)

    def hold_lock(self) -> None:
        """Lock a file with the monitor's process id for as long as it lives: that is how others know that it does."""
        self._monitor = (self.directory / "monitor").open("wb", buffering=0)
        fcntl.flock(self._monitor, fcntl.LOCK_EX)
        self._monitor.write(str(os.getpid()).encode())

    def mark_as_never_started(self) -> None:
        """Let others see that the run never started."""
        os.truncate(self.directory / "monitor", 0)

    def write(self, stream: int, data: bytes) -> None:
        """Keep what the run printed; a full disk ends what is kept: half a frame would garble all that follows."""
        if not self._log or (stream == multiplex.STDOUT and not self.keeps_stdout):
            return
        frames = self._time_frame() + multiplex.frame(stream, data)
        self._kept += len(frames)
        if self._kept > self.limit:
            self._cut(f"the limit of {self.limit >> 20} MiB")
            return
        try:
            _write_all(self._log, frames)
        except OSError as error:
            self._cut(f"{error.strerror or error}; see: df .twelfth")

    def _cut(self, why: str) -> None:
        """Keep no more of the output."""
        if self._log:
            self._log.close()
        self._log, self.cut = None, why

    def _time_frame(self) -> bytes:
        """Return a frame with the time (seconds since 1970), or nothing where the last one is as good."""
        now = time.time()
        if abs(now - self._time) < RESOLUTION:
            return b""
        self._time = now
        return multiplex.frame(multiplex.TIME, f"{now:.3f}".encode())

    def record_end(self, started: datetime, seconds: float, state: str, code: int) -> None:
        """Write how the run ended, into the room that was reserved; raises `OSError`."""
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
    """Write to a file without a buffer, which may take less at a time than it is given."""
    while data:
        data = data[target.write(data) :]
