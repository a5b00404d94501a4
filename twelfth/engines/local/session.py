"""A client's connection to a run of the local engine: two sockets to the run's monitor."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.engines import multiplex
from twelfth.engines.contract import Session
from twelfth.engines.json_file import read_json
from twelfth.engines.local.run_record import UNSTARTED
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MONITOR = str(Path(__file__).with_name("monitor.py"))


class LocalSession(Session):
    """The sockets to the monitor of one run, and the directory in which the monitor writes."""

    def __init__(self, directory: Path, spec: Mapping[str, Any]) -> None:
        """Start a monitor for the run, detached from this process, and return when it is ready to start the run.

        No process is left if this fails or is interrupted.
        """
        self.directory = directory
        self.streams, far_streams = socket.socketpair()
        self.control, far_control = socket.socketpair()
        with far_streams, far_control, (directory / "monitor.log").open("wb") as log:
            descriptors = (far_streams.fileno(), far_control.fileno())
            self.monitor = subprocess.Popen(  # noqa: S603 - the monitor
                [sys.executable, "-X", "utf8", MONITOR, str(directory), *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.frames = multiplex.frames(self.streams.recv)
        with self.given_up_on_errors():
            self._hand_over(spec)
            self._wait_until_ready()

    @contextlib.contextmanager
    def given_up_on_errors(self) -> Iterator[None]:
        """Kill the monitor, which has not started the run yet, on any error."""
        try:
            yield
        except BaseException:
            self._give_up()
            raise

    def start(self) -> None:
        """Make the monitor start the run, which from now on does not need this process."""
        with contextlib.suppress(OSError):  # `wait` reports a monitor that was killed
            (self.directory / UNSTARTED).unlink(missing_ok=True)
            self.streams.sendall(multiplex.frame(multiplex.READY, b""))

    def _wait_until_ready(self) -> None:
        kind, reason = next(self.frames, (None, b""))
        if kind != multiplex.READY:
            why = reason.decode() or _last_line(self.directory / "monitor.log") or "it was killed"
            raise EngineError(f"the run's monitor did not start ({why}); fix that and repeat the command")

    def _give_up(self) -> None:
        """Kill a monitor that has not started the run."""
        self.monitor.kill()
        self.monitor.wait()
        self.streams.close()
        self.control.close()

    def _hand_over(self, spec: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # `_wait_until_ready` reports a monitor that did not start
            if self.monitor.stdin:
                self.monitor.stdin.write(json.dumps(spec).encode())
                self.monitor.stdin.close()

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield the run's output until its monitor closes the connection."""
        with contextlib.suppress(OSError):
            for kind, data in self.frames:
                if kind == multiplex.EXIT:
                    self.exit_code = int(data)
                else:
                    yield kind, data

    def write_stdin(self, data: bytes) -> None:
        """Write to the run's stdin."""
        self.streams.sendall(multiplex.frame(multiplex.STDIN, data))

    def close_stdin(self) -> None:
        """Close the run's stdin: an empty frame means the end of input."""
        with contextlib.suppress(OSError):  # the run has exited
            self.write_stdin(b"")

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the run's terminal."""
        self._send_control(multiplex.RESIZE, f"{rows} {columns}".encode())

    def signal(self, number: int) -> None:
        """Send the run's process group a signal."""
        self._send_control(multiplex.SIGNAL, str(int(number)).encode())

    def wait(self) -> int:
        """Wait for the monitor, and return the exit code that it sent or, if it sent none, wrote."""
        self.monitor.wait()
        self.streams.close()
        self.control.close()
        if self.exit_code is None:
            self.exit_code = self._recorded()
        return self.exit_code

    def leave(self) -> None:
        """Disconnect from the run; a thread waits for the monitor, so that it does not become a zombie."""
        self.close_stdin()
        self.streams.close()
        self.control.close()
        threading.Thread(target=self.monitor.wait, daemon=True).start()

    def _recorded(self) -> int:
        code = read_json(self.directory / "end.json").get("exit_code")
        if code is None:
            raise EngineError(f"run {self.directory.name} left no record; see {self.directory}/monitor.log")
        return int(code)

    def _send_control(self, kind: int, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.control.sendall(multiplex.frame(kind, data))


def _last_line(path: Path) -> str:
    return path.read_text("utf-8", "replace").strip().rpartition("\n")[2]
