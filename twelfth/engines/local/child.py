"""The process of a run: its start, its input or terminal, the signals that it gets, and its end.

Used by the monitor of a run, which is its parent.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import termios
import threading
import time
from typing import IO, Any

from twelfth.engines import multiplex
from twelfth.engines.end_of_input import type_end
from twelfth.engines.local.descendants import end_descendants, reap_orphans
from twelfth.engines.local.launch import end_with_parent

NOT_FOUND, TIMED_OUT = 127, 124
KILL_WITHIN = 5.0
"""Seconds after which a process that SIGKILL does not end, or that is another user's, is left."""


class Child:
    """The process that a run's spec describes."""

    def __init__(self, spec: dict[str, Any]) -> None:
        """Take what to run; start nothing yet."""
        self.spec, self.has_terminal = spec, spec["tty"]
        self.cause = ""
        """Why it was ended, `timeout` or `stopped`; empty where it ended by itself."""
        self._process: subprocess.Popen[bytes] | None = None
        self._input: IO[bytes] | None = None
        self._ending = threading.Lock()

    def start(self) -> dict[int, IO[bytes]]:
        """Start the process and return its outputs by stream; raises `OSError` as exec would."""
        if self.has_terminal:
            return self._start_on_terminal()
        source = subprocess.PIPE if self.spec["interactive"] else subprocess.DEVNULL
        self._process = self._popen(end_with_parent, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._input = self._process.stdin
        outputs = {multiplex.STDOUT: self._process.stdout, multiplex.STDERR: self._process.stderr}
        return {stream: source for stream, source in outputs.items() if source}

    def _start_on_terminal(self) -> dict[int, IO[bytes]]:
        near, far = os.openpty()
        if self.spec["size"]:
            termios.tcsetwinsize(far, self.spec["size"])
        self._process = self._popen(_take_terminal, stdin=far, stdout=far, stderr=far)
        os.close(far)
        self._input = terminal = os.fdopen(near, "r+b", buffering=0)
        return {multiplex.STDOUT: terminal}

    def _popen(self, first: Any, **streams: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - what the operator typed; found by the PATH of its own environment
            self.spec["command"],
            env=self.spec["environment"],
            cwd=self.spec["directory"],
            start_new_session=True,
            preexec_fn=first,  # noqa: PLW1509 - before any thread of the monitor's
            **streams,
        )

    def wait(self) -> int:
        """Return the exit code when it has ended, by itself or because its time was over, and nothing of it is left."""
        if self._process is None:
            return NOT_FOUND
        code = self._wait(self._process)
        self._end_all()
        return code

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        try:
            code = process.wait(self.spec["timeout"])
        except subprocess.TimeoutExpired:
            self.end("timeout")
            code = process.wait()
        if self.cause == "timeout":
            return TIMED_OUT
        return 128 - code if code < 0 else code

    def _end_all(self) -> None:
        """End what the process left, as a container's processes end with its first."""
        self._signal_group(signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_descendants(KILL_WITHIN)

    def reap_orphans(self) -> None:
        """Take the end of orphans that came to the monitor; that of the process itself is for `wait`."""
        if self._process:
            reap_orphans(self._process.pid)

    @property
    def is_running(self) -> bool:
        """Return whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def end(self, cause: str) -> None:
        """Send TERM, and KILL to the whole group where that does not help within the grace period.

        Only the first who asks is heard: a second TERM would disturb the answer to the first.
        """
        if not self.is_running or not self._ending.acquire(blocking=False):
            return
        self.cause = cause
        self.signal(signal.SIGTERM)
        timer = threading.Timer(self.spec["grace"], self.signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def signal(self, number: int) -> None:
        """Send its process group a signal; one that has ended takes none."""
        if self.is_running:
            self._signal_group(number)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._process:
                os.killpg(self._process.pid, number)

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal a size; without one this does nothing."""
        if self.has_terminal and self._input:
            termios.tcsetwinsize(self._input.fileno(), (rows, columns))

    def write_input(self, data: bytes) -> None:
        """Give it input; no data is the end of it, and so is a process that reads no more."""
        try:
            if data and self._input:
                self._input.write(data)
                self._input.flush()
            else:
                self._close_input()
        except OSError:
            self._close_input()

    def end_input(self) -> None:
        """End its input, as nobody is left who could give more; at a terminal by typing the end until it has ended."""
        if not self.has_terminal:
            self._close_input()
        elif self._input:
            with contextlib.suppress(OSError):
                type_end(self._input.write, self._has_ended_within)

    def _close_input(self) -> None:
        if not self.has_terminal and self._input:
            with contextlib.suppress(OSError):
                self._input.close()
            self._input = None

    def _has_ended_within(self, seconds: float) -> bool:
        time.sleep(seconds)
        return not self.is_running


def _take_terminal() -> None:
    """Make the terminal on standard input the controlling one, so that Ctrl-C in it is a signal."""
    end_with_parent()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
