"""Keep one run of the local engine: `python monitor.py DIRECTORY STREAMS CONTROL`, in a session of its own.

What to run comes on standard input, as JSON, so that no value of the environment is ever written to a disk. STREAMS and
CONTROL are sockets to the client: bytes in and out on the one, signals and sizes on the other, so that input which
nobody reads holds up no signal. The monitor begins when its client, told that all is ready, says so, and never where
the client has gone by then. It keeps all that the run prints in `DIRECTORY/output` (as frames), passes it
on for as long as there is a client, ends the run when its time is over or when it is told to by SIGTERM, and writes
`DIRECTORY/end.json` last. It does not depend on its client in anything.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from twelfth.engines import multiplex
from twelfth.engines.end_of_input import hang_up
from twelfth.engines.local.descendants import become_subreaper, end_descendants, reap_orphans
from twelfth.engines.local.launch import end_with_parent

NOT_FOUND, NOT_EXECUTABLE, TIMED_OUT = 127, 126, 124
DRAIN_WITHIN = 2.0
"""Seconds of silence after the run ended that are waited for, should a child elsewhere hold its output open."""

KILL_WITHIN = 5.0
"""Seconds after which a process that SIGKILL does not end, or that is another user's, is left."""

RECORD_SIZE = 512
"""Bytes of a record, reserved before the run begins so that a full disk cannot take its end away."""


class Monitor:
    """One run: its process, its client, its record."""

    def __init__(self, directory: Path, streams: socket.socket, control: socket.socket, spec: dict[str, Any]) -> None:
        """Take the directory, the connections and what to run; start nothing yet."""
        self.directory, self.control, self.spec = directory, control, spec
        self.client: socket.socket | None = streams
        self.log: IO[bytes] | None = (directory / "output").open("wb", buffering=0)
        self.cut = ""
        (directory / "end.json.new").write_bytes(b" " * RECORD_SIZE)
        self.writing, self.ending = threading.Lock(), threading.Lock()
        self.cause = ""
        self.waiting: dict[int, float] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.input: IO[bytes] | None = None
        self._answer_signals()
        self.lock = _hold(directory / "monitor")  # now that we can be told to stop, others may learn of us

    def _answer_signals(self) -> None:
        signal.signal(signal.SIGTERM, self._stopped)
        for name in (signal.SIGINT, signal.SIGHUP):
            signal.signal(name, lambda *_: None)  # not SIG_IGN, which the run would inherit
        if become_subreaper():
            signal.signal(signal.SIGCHLD, self._reap)

    def _reap(self, _number: int, _frame: FrameType | None) -> None:
        if self.process:
            reap_orphans(self.process.pid)

    def keep(self) -> None:
        """Run the command to its end and record how it ended; only for a client that is still there."""
        self._tell(multiplex.READY, b"")
        if not self._may_begin():
            return
        began, since = datetime.now(UTC), time.monotonic()
        try:
            code = self._run()
        except OSError as error:
            self._emit(multiplex.STDERR, self._line(f"{self.spec['command'][0]}: {error.strerror}"))
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        try:
            self._record(began, time.monotonic() - since, code)
        except OSError as error:
            self._say(f"the end of the run could not be recorded ({error.strerror}); see: invoke history")
        if self.cut:
            self._say(f"this output is not kept to its end ({self.cut}); see: df .twelfth")
        self._tell(multiplex.EXIT, str(code).encode())

    def _may_begin(self) -> bool:
        """Return whether the client says so; where it has gone instead, let others see that the run never began."""
        with contextlib.suppress(OSError):
            if self.client and next(multiplex.frames(self.client.recv), None):
                return True
        self.lock.truncate(0)
        return False

    def _say(self, line: str) -> None:
        self._tell(multiplex.STDERR, self._line(line))

    def _line(self, text: str) -> bytes:
        """Return a line of our own; on a terminal, which is raw while the run has it, the next begins at its left."""
        return f"twelfth: {text}".encode() + (b"\r\n" if self.spec["tty"] else b"\n")

    def _run(self) -> int:
        outputs = self._start()
        pumps = {stream: self._thread(self._pump, stream, source) for stream, source in outputs.items()}
        if self.client:
            self._thread(self._listen, self.client)
        self._thread(self._listen, self.control)
        code = self._wait()
        self._end_all()
        ended = time.monotonic()
        for stream, pump in pumps.items():
            while pump.is_alive() and time.monotonic() - max(ended, self.waiting.get(stream, ended)) < DRAIN_WITHIN:
                pump.join(0.05)
        return code

    def _end_all(self) -> None:
        """End what the run left, as a container's processes end with its first."""
        self._signal_group(signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_descendants(KILL_WITHIN)

    def _thread(self, target: Any, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        return thread

    def _start(self) -> dict[int, IO[bytes]]:
        """Start the process and return its outputs by stream."""
        if self.spec["tty"]:
            return self._start_on_terminal()
        source = subprocess.PIPE if self.spec["interactive"] else subprocess.DEVNULL
        self.process = self._popen(end_with_parent, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.input = self.process.stdin
        outputs = {multiplex.STDOUT: self.process.stdout, multiplex.STDERR: self.process.stderr}
        return {stream: source for stream, source in outputs.items() if source}

    def _start_on_terminal(self) -> dict[int, IO[bytes]]:
        ours, theirs = pty.openpty()
        self.process = self._popen(_take_terminal, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        terminal = os.fdopen(ours, "r+b", buffering=0)
        self.input = terminal
        return {multiplex.STDOUT: terminal}

    def _popen(self, first: Any, **streams: Any) -> subprocess.Popen[bytes]:
        environment = self.spec["environment"]
        return subprocess.Popen(  # noqa: S603 - what the operator typed
            self.spec["command"],
            env=environment,
            cwd=self.spec["directory"],
            executable=_which(self.spec["command"][0], environment.get("PATH", os.defpath)),
            start_new_session=True,
            preexec_fn=first,  # noqa: PLW1509 - before any thread of ours
            **streams,
        )

    def _wait(self) -> int:
        if self.process is None:
            return NOT_FOUND
        try:
            code = self.process.wait(self.spec["timeout"])
        except subprocess.TimeoutExpired:
            self._end("timeout")
            code = self.process.wait()
        if self.cause == "timeout":
            return TIMED_OUT
        return 128 - code if code < 0 else code

    def _stopped(self, _number: int, _frame: FrameType | None) -> None:
        if self.process:
            self._thread(self._end, "stopped")

    def _end(self, cause: str) -> None:
        """Send TERM, and KILL to the whole group where that does not help within the grace period.

        Only the first who asks is heard: a second TERM would disturb the answer to the first.
        """
        if self.process is None or self.process.poll() is not None or not self.ending.acquire(blocking=False):
            return
        self.cause = cause
        self._signal(signal.SIGTERM)
        timer = threading.Timer(self.spec["grace"], self._signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def _signal(self, number: int) -> None:
        if self.process and self.process.poll() is None:
            self._signal_group(number)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.process:
                os.killpg(self.process.pid, number)

    def _pump(self, stream: int, source: IO[bytes]) -> None:
        with contextlib.suppress(OSError):  # a terminal whose last process ended reads as an error (EIO)
            self.waiting[stream] = time.monotonic()
            while data := os.read(source.fileno(), multiplex.PIECE):
                self.waiting[stream] = float("inf")
                self._emit(stream, data)
                self.waiting[stream] = time.monotonic()

    def _emit(self, stream: int, data: bytes) -> None:
        """Keep the data, then pass it on; a full disk or a lost client must not disturb the run."""
        with self.writing:
            if self.log and (stream != multiplex.STDOUT or self.spec["kept"]):
                try:
                    _write_all(self.log, multiplex.frame(stream, data))
                except OSError as error:  # what is kept ends here: half a frame would garble all that follows
                    self.log, self.cut = None, error.strerror or str(error)
            self._tell(stream, data)

    def _tell(self, kind: int, data: bytes) -> None:
        if self.client:
            try:
                self.client.sendall(multiplex.frame(kind, data))
            except OSError:
                self.client = None

    def _listen(self, connection: socket.socket) -> None:
        """Do what the client says until it has gone; nobody is left then who could give more input."""
        with contextlib.suppress(OSError):
            for kind, data in multiplex.frames(connection.recv):
                self._obey(kind, data)
        if connection is not self.control:
            self._hang_up() if self.spec["tty"] else self._end_input()

    def _obey(self, kind: int, data: bytes) -> None:
        if kind == multiplex.SIGNAL:
            self._signal(int(data))
        elif kind == multiplex.RESIZE and self.spec["tty"] and self.input:
            rows, columns = map(int, data.split())
            termios.tcsetwinsize(self.input.fileno(), (rows, columns))
        elif kind == multiplex.STDIN and self.input:
            try:
                _write(self.input, data) if data else self._end_input()
            except OSError:  # it does not read any more
                self._end_input()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            if self.input:
                hang_up(self.input.write, self._ended_within)

    def _ended_within(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self.process is None or self.process.poll() is not None

    def _end_input(self) -> None:
        if not self.spec["tty"] and self.input:
            with contextlib.suppress(OSError):
                self.input.close()
            self.input = None

    def _record(self, began: datetime, seconds: float, code: int) -> None:
        record = {
            "started": began.isoformat(),
            "finished": datetime.now(UTC).isoformat(),
            "seconds": round(seconds, 3),
            "state": self.cause or ("done" if code == 0 else "failed"),
            "exit_code": code,
            "cut": self.cut,
        }
        aside = self.directory / "end.json.new"
        with aside.open("r+b") as file:
            file.write(json.dumps(record).ljust(RECORD_SIZE).encode())
        aside.replace(self.directory / "end.json")


def _hold(path: Path) -> IO[bytes]:
    """Lock a file that holds our process id for as long as we live: that is how others know that we do."""
    file = path.open("wb", buffering=0)
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(str(os.getpid()).encode())
    return file


def _write(target: IO[bytes], data: bytes) -> None:
    target.write(data)
    target.flush()


def _write_all(target: IO[bytes], data: bytes) -> None:
    """Write to a file without a buffer, which may take less at a time than it is given."""
    while data:
        data = data[target.write(data) :]


def _take_terminal() -> None:
    """Make the terminal on standard input the controlling one, so that Ctrl-C in it is a signal."""
    end_with_parent()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _which(name: str, path: str) -> str:
    """Return the program's path by the run's own PATH, not the monitor's; raises as exec would."""
    if found := shutil.which(name, path=path):
        return found
    if os.sep in name or not any((Path(each) / name).exists() for each in path.split(os.pathsep)):
        return name
    raise PermissionError(13, os.strerror(13), name)


def main(directory: str, streams: str, control: str) -> None:
    """Keep the run that standard input describes."""
    ctypes.CDLL(None)  # loaded before the fork
    spec = json.loads(sys.stdin.buffer.read())
    client = socket.socket(fileno=int(streams))
    try:
        monitor = Monitor(Path(directory), client, socket.socket(fileno=int(control)), spec)
    except OSError as error:
        client.sendall(multiplex.frame(multiplex.EXIT, f"{error.filename or directory}: {error.strerror}".encode()))
        sys.exit(f"cannot keep the run: {error}")
    monitor.keep()
    os._exit(0)  # at once: the client waits, and threads that listen to it have nothing to end


if __name__ == "__main__":
    main(*sys.argv[1:])
