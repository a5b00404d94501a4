"""The process of a run: its start, input or terminal, signals and exit.

The run's monitor is its parent.
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
"""Seconds after which a process is left that SIGKILL does not stop, or that belongs to another user."""


class Child:
    """The process that a run's spec describes."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec, self.has_terminal = spec, spec["tty"]
        self.cause = ""
        """Why it was stopped, `timeout` or `stopped`; empty if it exited by itself."""
        self._process: subprocess.Popen[bytes] | None = None
        self._input: IO[bytes] | None = None
        self._ending = threading.Lock()

    def start(self) -> dict[int, IO[bytes]]:
        """Start the process and return its outputs by stream; raises the `OSError` of exec."""
        if self.has_terminal:
            return self._start_on_terminal()
        stdin = subprocess.PIPE if self.spec["interactive"] else subprocess.DEVNULL
        self._process = self._popen(end_with_parent, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._input = self._process.stdin
        outputs = {multiplex.STDOUT: self._process.stdout, multiplex.STDERR: self._process.stderr}
        return {stream: pipe for stream, pipe in outputs.items() if pipe}

    def _start_on_terminal(self) -> dict[int, IO[bytes]]:
        controller, terminal = os.openpty()
        if self.spec["size"]:
            termios.tcsetwinsize(terminal, self.spec["size"])
        self._process = self._popen(_take_terminal, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        self._input = controller_file = os.fdopen(controller, "r+b", buffering=0)
        return {multiplex.STDOUT: controller_file}

    def _popen(self, before_exec: Any, **streams: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the command that the operator typed, searched in the run's own PATH
            self.spec["command"],
            env=self.spec["environment"],
            cwd=self.spec["directory"],
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509 - the monitor starts its threads later
            **streams,
        )

    def wait(self) -> int:
        """Return the exit code when the process and all of its descendants have exited; enforces the time limit."""
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
        """Kill the process's descendants, as a container's processes are killed when its first one exits."""
        self._signal_group(signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_descendants(KILL_WITHIN)

    def reap_orphans(self) -> None:
        """Reap orphans that became children of the monitor, but not the process itself, for which `wait` waits."""
        if self._process:
            reap_orphans(self._process.pid)

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not exited."""
        return self._process is not None and self._process.poll() is None

    def end(self, cause: str) -> None:
        """Send TERM, and KILL to the process group if it has not exited after the grace period.

        Only the first call has an effect: a second TERM could disturb a process that is shutting down.
        """
        if not self.is_running or not self._ending.acquire(blocking=False):
            return
        self.cause = cause
        self.signal(signal.SIGTERM)
        timer = threading.Timer(self.spec["grace"], self.signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def signal(self, number: int) -> None:
        """Send the process group a signal, unless the process has exited."""
        if self.is_running:
            self._signal_group(number)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._process:
                os.killpg(self._process.pid, number)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the terminal, if there is one."""
        if self.has_terminal and self._input:
            termios.tcsetwinsize(self._input.fileno(), (rows, columns))

    def write_input(self, data: bytes) -> None:
        """Write input; no data means the end of input. Input is also closed if the process no longer reads it."""
        try:
            if data and self._input:
                self._input.write(data)
                self._input.flush()
            else:
                self._close_input()
        except OSError:
            self._close_input()

    def end_input(self) -> None:
        """Close the input after the client has disconnected; on a terminal, type the end of input until the exit."""
        if not self.has_terminal:
            self._close_input()
        elif self._input:
            with contextlib.suppress(OSError):
                type_end(self._input.write, self._has_exited_within)

    def _close_input(self) -> None:
        if not self.has_terminal and self._input:
            with contextlib.suppress(OSError):
                self._input.close()
            self._input = None

    def _has_exited_within(self, seconds: float) -> bool:
        time.sleep(seconds)
        return not self.is_running


def _take_terminal() -> None:
    end_with_parent()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the controlling terminal, so that Ctrl-C in it is a signal
