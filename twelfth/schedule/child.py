"""The processes that fires start: each does what the command of the job does for an operator.

They outlive the scheduler. A locked file for each fire, which its process inherits, shows other schedulers of this
machine that the fire is being handled. The kernel unlocks it when the scheduler and the process have exited.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import twelfth
from twelfth.hints import JOBS_UNKNOWN, command_name
from twelfth.schedule.scheduler import Exit
from twelfth.state_home import states_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twelfth.runs.fire import Fire

TRIES, PAUSE = 10, 0.02
"""Attempts to lock a file, and seconds between them: `is_alive` of another process locks it for a moment."""

END = 4096
"""Bytes at the end of a process's errors that are read."""


class Processes:
    """The processes of the fires of one project on this machine."""

    def __init__(self, directory: Path, ended: Callable[[], None] = lambda: None) -> None:
        """Take the directory of the project, and what to call when a process has exited."""
        self.directory, self._notify = directory, ended
        self._locks: dict[str, BinaryIO] = {}
        self._ended: dict[str, Exit] = {}
        self._home = states_home() / ".fires"
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._home.iterdir():  # of schedulers that were killed
            if not self.is_alive(path.name):
                path.unlink(missing_ok=True)

    def reserve(self, run_id: str) -> None:
        """Show that the process of a fire will be started here."""
        lock = (self._home / run_id).open("ab")
        for _ in range(TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(PAUSE)
        self._locks[run_id] = lock

    def is_alive(self, run_id: str) -> bool:
        """Return whether a process of this machine has the fire: its own process, or a scheduler that will start it."""
        try:
            with (self._home / run_id).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def start(self, fire: Fire) -> None:
        """Start the process of a fire that was reserved; raises `OSError`."""
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe would break when this process exits
        paths = [str(Path(twelfth.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, "-P", "-m", "twelfth", command_name(fire.job)],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **fire.to_environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[self._locks[fire.run_id].fileno()],
            start_new_session=True,  # Ctrl-C is for the scheduler
        )
        threading.Thread(target=self._wait, args=(fire.run_id, process, errors), daemon=True).start()

    def ended(self) -> dict[str, Exit]:
        """Return the fires whose processes have exited and that were not released."""
        return dict(self._ended)

    def release(self, run_id: str) -> None:
        """Forget a fire whose record is complete."""
        self._ended.pop(run_id, None)
        if lock := self._locks.pop(run_id, None):
            (self._home / run_id).unlink(missing_ok=True)
            lock.close()

    def _wait(self, run_id: str, process: subprocess.Popen[bytes], errors: BinaryIO) -> None:
        code = process.wait()
        with errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - END))
            lines = errors.read().decode(errors="replace").strip().splitlines()
        self._ended[run_id] = Exit(code, _reason(lines) or f"its process exited with {code}")
        self._notify()


def _reason(lines: Sequence[str]) -> str:
    """Return the last line; if the Compose file cannot be read, that error, not that the command is unknown."""
    unknown = (line for line in lines if line.startswith(f"twelfth: {JOBS_UNKNOWN}"))
    return next(unknown, lines[-1] if lines else "").removeprefix("twelfth: ")
