"""A run of the local engine, over the socket that its keeper holds the other end of."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stack.engines import frames
from stack.engines.base import Session
from stack.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL = 0.01
"""Seconds between two looks for the record of a run whose connection has ended."""

RECORD_WITHIN = 5.0
"""Seconds that a keeper may take from its last output to the record."""


class KeptSession(Session):
    """The streams of one run and the directory where its keeper writes."""

    def __init__(self, directory: Path) -> None:
        """Start a keeper for the run that `directory/spec.json` describes, detached from this process."""
        self.directory = directory
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.keeper = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, str(Path(__file__).with_name("keeper.py")), str(directory), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=(directory / "keeper.log").open("wb"),
                start_new_session=True,
            )

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield what the run prints until its keeper closes the connection."""
        with contextlib.suppress(OSError):
            yield from frames.frames(self.socket.recv)

    def send(self, data: bytes) -> None:
        """Give the run input."""
        self.socket.sendall(frames.frame(frames.STDIN, data))

    def end_input(self) -> None:
        """Close the run's input: an empty piece says so."""
        self._tell(frames.STDIN, b"")

    def resize(self, rows: int, columns: int) -> None:
        """Tell the run's terminal its size."""
        self._tell(frames.RESIZE, f"{rows} {columns}".encode())

    def signal(self, number: int) -> None:
        """Send the run's process group a signal."""
        self._tell(frames.SIGNAL, str(int(number)).encode())

    def wait(self) -> int:
        """Return the exit code from the record, which the keeper writes last."""
        path = self.directory / "end.json"
        self.keeper.wait()
        deadline = time.monotonic() + RECORD_WITHIN
        while not path.exists():
            if time.monotonic() > deadline:
                raise EngineError(f"run {self.directory.name} left no record; see {self.directory}/keeper.log")
            time.sleep(POLL)
        return int(json.loads(path.read_text("utf-8"))["exit_code"])

    def _tell(self, kind: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a run that has ended needs to be told nothing
            self.socket.sendall(frames.frame(kind, data))
