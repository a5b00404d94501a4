"""Keep one run of the local engine: `python keeper.py DIRECTORY FD`, in a session of its own.

It starts what `DIRECTORY/spec.json` describes, keeps all that the run prints in `DIRECTORY/output` (as frames), passes
it on to the client at the other end of the socket FD for as long as there is one, ends the run when its time is over
or when it is told to by SIGTERM, and writes `DIRECTORY/end.json` last. It does not depend on its client in anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from stack.engines import frames

NOT_FOUND, NOT_EXECUTABLE, TIMED_OUT = 127, 126, 124
DRAIN_WITHIN = 2.0
"""Seconds that output may still come after the run ended, from children that it left behind."""


class Keeper:
    """One run: its process, its client, its record."""

    def __init__(self, directory: Path, client: socket.socket) -> None:
        """Take the directory and the connection; start nothing yet."""
        self.directory = directory
        self.client: socket.socket | None = client
        self.spec: dict[str, Any] = json.loads((directory / "spec.json").read_text("utf-8"))
        self.log = (directory / "output").open("wb", buffering=0)
        self.writing = threading.Lock()
        self.cause = ""
        self.process: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """Run the command to its end and record how it ended."""
        self.lock = _hold(self.directory / "keeper")
        signal.signal(signal.SIGTERM, self._stopped)
        for name in (signal.SIGINT, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        began = datetime.now(UTC)
        try:
            code = self._run()
        except OSError as error:
            self._emit(frames.STDERR, f"twelfth: {self.spec['command'][0]}: {error.strerror}\n".encode())
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        self._record(began, code)
        if self.client:
            self.client.close()

    def _run(self) -> int:
        outputs = self._start()
        pumps = [threading.Thread(target=self._pump, args=each, daemon=True) for each in outputs]
        listener = threading.Thread(target=self._listen, daemon=True)
        for thread in (*pumps, listener):
            thread.start()
        code = self._wait()
        for pump in pumps:
            pump.join(DRAIN_WITHIN)
        return code

    def _start(self) -> list[tuple[int, IO[bytes]]]:
        """Start the process and return its outputs by stream."""
        if self.spec["tty"]:
            return self._start_on_terminal()
        source = subprocess.PIPE if self.spec["interactive"] else subprocess.DEVNULL
        self.process = self._popen(stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout  # noqa: S101 - PIPE was asked for
        assert self.process.stderr  # noqa: S101
        self.input = self.process.stdin
        return [(frames.STDOUT, self.process.stdout), (frames.STDERR, self.process.stderr)]

    def _start_on_terminal(self) -> list[tuple[int, IO[bytes]]]:
        ours, theirs = pty.openpty()
        self.process = self._popen(stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=_take_terminal)
        os.close(theirs)
        terminal = os.fdopen(ours, "r+b", buffering=0)
        self.input = terminal
        return [(frames.STDOUT, terminal)]

    def _popen(self, **streams: Any) -> subprocess.Popen[bytes]:
        environment = self.spec["environment"]
        return subprocess.Popen(  # noqa: S603 - what the operator typed
            self.spec["command"],
            env=environment,
            cwd=self.spec["directory"],
            executable=_which(self.spec["command"][0], environment.get("PATH", os.defpath)),
            start_new_session=True,
            **streams,
        )

    def _wait(self) -> int:
        assert self.process  # noqa: S101 - called after it was started
        try:
            code = self.process.wait(self.spec["timeout"])
        except subprocess.TimeoutExpired:
            self._end("timeout")
            self.process.wait()
            return TIMED_OUT
        return 128 - code if code < 0 else code

    def _stopped(self, _number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=self._end, args=("stopped",), daemon=True).start()

    def _end(self, cause: str) -> None:
        """Send TERM, and KILL to the whole group where that does not help within the grace period."""
        self.cause = self.cause or cause
        self._signal(signal.SIGTERM)
        timer = threading.Timer(self.spec["grace"], self._signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def _signal(self, number: int) -> None:
        if self.process and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def _pump(self, stream: int, source: IO[bytes]) -> None:
        with contextlib.suppress(OSError):  # a terminal whose last process ended reads as an error (EIO)
            while data := os.read(source.fileno(), frames.PIECE):
                self._emit(stream, data)

    def _emit(self, stream: int, data: bytes) -> None:
        """Keep the data, then pass it on; a full disk or a lost client must not disturb the run."""
        packed = frames.frame(stream, data)
        with self.writing:
            with contextlib.suppress(OSError):
                self.log.write(packed)
            if self.client:
                try:
                    self.client.sendall(packed)
                except OSError:
                    self.client = None

    def _listen(self) -> None:
        """Do what the client says until it has gone."""
        if not (client := self.client):
            return
        with contextlib.suppress(OSError):
            for kind, data in frames.frames(client.recv):
                self._obey(kind, data)
        with contextlib.suppress(OSError):
            self._end_input()  # nobody is left who could give more

    def _obey(self, kind: int, data: bytes) -> None:
        if kind == frames.SIGNAL:
            self._signal(int(data))
        elif kind == frames.RESIZE and self.spec["tty"] and self.input:
            rows, columns = map(int, data.split())
            termios.tcsetwinsize(self.input.fileno(), (rows, columns))
        elif kind == frames.STDIN and self.input:
            with contextlib.suppress(OSError):  # it does not read any more
                _write(self.input, data) if data else self._end_input()

    def _end_input(self) -> None:
        if not self.spec["tty"] and self.input:
            self.input.close()
            self.input = None

    def _record(self, began: datetime, code: int) -> None:
        ended = datetime.now(UTC)
        record = {
            "started": began.isoformat(),
            "finished": ended.isoformat(),
            "seconds": round((ended - began).total_seconds(), 3),
            "state": self.cause or ("done" if code == 0 else "failed"),
            "exit_code": code,
        }
        aside = self.directory / "end.json.new"
        aside.write_text(json.dumps(record), "utf-8")
        aside.replace(self.directory / "end.json")


def _hold(path: Path) -> IO[bytes]:
    """Lock a file that holds our process id for as long as we live: that is how others know that we do."""
    import fcntl

    file = path.open("wb", buffering=0)
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(str(os.getpid()).encode())
    return file


def _write(target: IO[bytes], data: bytes) -> None:
    target.write(data)
    target.flush()


def _take_terminal() -> None:
    """Make the terminal on standard input the controlling one, so that Ctrl-C in it is a signal."""
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _which(name: str, path: str) -> str:
    """Return the program's path by the run's own PATH, not the keeper's; raises as exec would."""
    import shutil

    if found := shutil.which(name, path=path):
        return found
    if os.sep in name or not any((Path(each) / name).exists() for each in path.split(os.pathsep)):
        return name
    raise PermissionError(13, os.strerror(13), name)


if __name__ == "__main__":
    Keeper(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))).keep()
