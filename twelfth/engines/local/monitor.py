"""Monitor one run of the local engine: `python monitor.py DIRECTORY STREAMS CONTROL`, in a separate session.

The run's specification comes on standard input, as JSON, so that no value of the environment is written to a disk.
STREAMS and CONTROL are sockets to the client. The monitor reports that it is ready, and starts the run when the client
answers; if the client has disconnected by then, the run never starts. After that the monitor does not need the client.
It records the output, sends it to the client if there is one, stops the run at its time limit or on SIGTERM, and
records the exit last.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from twelfth.engines import multiplex
from twelfth.engines.local.child import NOT_FOUND, Child
from twelfth.engines.local.descendants import become_subreaper
from twelfth.engines.local.recorder import Recorder

NOT_EXECUTABLE = 126
UNSENT = 1_000_000
"""Bytes that are buffered for a slow client before the run must wait, as in Docker's daemon."""

DRAIN_WITHIN = 2.0
"""Seconds without output after which the monitor stops reading, if another process keeps the run's output open."""


class Client:
    """The connection to the process that started the run.

    Input and output use `streams`, signals and sizes use `control`, so that unread input does not delay signals. A
    thread sends the output: a client that does not read delays the run's output, as any reader does, but not its exit.
    """

    def __init__(self, streams: socket.socket, control: socket.socket) -> None:
        self.streams = streams
        self.input, self.control = multiplex.frames(streams.recv), multiplex.frames(control.recv)
        self._is_connected = self._waits = True
        self._is_sending = False
        self._unsent = bytearray()
        self._changed = threading.Condition()
        _thread(self._send_all)

    def send(self, kind: int, data: bytes) -> None:
        """Queue a frame, after waiting for a slow client; drop it if the client has disconnected."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waits or len(self._unsent) < UNSENT)
            if self._is_connected:
                self._unsent += multiplex.frame(kind, data)
            self._changed.notify_all()

    def stop_waiting(self) -> None:
        """Make `send` return immediately from now on: a run that has exited has little output left."""
        with self._changed:
            self._waits = False
            self._changed.notify_all()

    def flush(self) -> None:
        """Return when everything is sent or the client has disconnected."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._unsent or self._is_sending))

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._is_sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._unsent))
                frames, self._unsent, self._is_sending = self._unsent, bytearray(), True
                self._changed.notify_all()
            try:
                self.streams.sendall(frames)
            except OSError:
                self._is_connected = False

    def starts_run(self) -> bool:
        """Report that the monitor is ready, and return whether the client asks for the start; False if it is gone."""
        self.send(multiplex.READY, b"")
        with contextlib.suppress(OSError):
            return self._is_connected and next(self.input, None) is not None
        return False


class Monitor:
    """One run: its process, its client and its record."""

    def __init__(self, child: Child, client: Client, recorder: Recorder) -> None:
        """Set the signal handlers before other processes can see this one; the run is not started yet."""
        self.child, self.client, self.recorder = child, client, recorder
        self.writing = threading.Lock()
        self.silent_since: dict[int, float] = {}
        self._answer_signals()
        recorder.hold_lock()

    def _answer_signals(self) -> None:
        signal.signal(signal.SIGTERM, self._stopped)
        for name in (signal.SIGINT, signal.SIGHUP):
            signal.signal(name, lambda *_: None)  # not SIG_IGN, which the run would inherit
        if become_subreaper():
            signal.signal(signal.SIGCHLD, lambda *_: self.child.reap_orphans())

    def _stopped(self, _number: int, _frame: FrameType | None) -> None:
        if self.child.is_running:
            _thread(self.child.end, "stopped")

    def run(self) -> None:
        """Run the command until it exits, and record its exit; does nothing if the client has disconnected."""
        if not self.client.starts_run():
            self.recorder.mark_as_never_started()
            return
        started, since = datetime.now(UTC), time.monotonic()
        code = self._run()
        state = self.child.cause or ("done" if code == 0 else "failed")
        try:
            self.recorder.record_end(started, time.monotonic() - since, state, code)
        except OSError as error:
            self._say(f"cannot record the exit of the run: {error.strerror}; see: invoke history")
        if self.recorder.cut:
            self._say(f"the rest of this output was not recorded: {self.recorder.cut}")
        self.client.send(multiplex.EXIT, str(code).encode())
        self.client.flush()

    def _run(self) -> int:
        """Return the exit code of the command when it has exited and its output was read."""
        try:
            outputs = self.child.start()
        except OSError as error:
            self._emit(multiplex.STDERR, self._line(f"{self.child.spec['command'][0]}: {error.strerror}"))
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        pumps = {stream: _thread(self._pump, stream, pipe) for stream, pipe in outputs.items()}
        _thread(self._take_input)
        _thread(self._take_control)
        code = self.child.wait()
        self.client.stop_waiting()
        self._drain(pumps)
        return code

    def _say(self, line: str) -> None:
        self.client.send(multiplex.STDERR, self._line(line))

    def _line(self, text: str) -> bytes:
        """Return a line of the monitor; a terminal in raw mode needs a carriage return, too."""
        return f"twelfth: {text}".encode() + (b"\r\n" if self.child.has_terminal else b"\n")

    def _pump(self, stream: int, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError):  # EIO: the last process on the terminal has exited
            self.silent_since[stream] = time.monotonic()
            while data := os.read(pipe.fileno(), multiplex.PIECE):
                self.silent_since[stream] = float("inf")
                self._emit(stream, data)
                self.silent_since[stream] = time.monotonic()

    def _drain(self, pumps: dict[int, threading.Thread]) -> None:
        """Wait until the remaining output was read: each stream is closed, or silent for a while."""
        exited = time.monotonic()
        for stream, pump in pumps.items():
            while pump.is_alive() and time.monotonic() - max(exited, self.silent_since.get(stream, 0)) < DRAIN_WITHIN:
                pump.join(0.05)

    def _emit(self, stream: int, data: bytes) -> None:
        """Record the data, then send it; a full disk or a lost client must not disturb the run."""
        with self.writing:
            self.recorder.write(stream, data)
            self.client.send(stream, data)

    def _take_input(self) -> None:
        """Pass input on until the client disconnects, then close it: no other process can send more."""
        with contextlib.suppress(OSError):
            for kind, data in self.client.input:
                if kind == multiplex.STDIN:
                    self.child.write_input(data)
        self.child.end_input()

    def _take_control(self) -> None:
        with contextlib.suppress(OSError):
            for kind, data in self.client.control:
                if kind == multiplex.SIGNAL:
                    self.child.signal(int(data))
                elif kind == multiplex.RESIZE:
                    rows, columns = map(int, data.split())
                    self.child.resize(rows, columns)


def _thread(target: Any, *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def main(directory: str, streams: str, control: str) -> None:
    """Monitor the run that standard input describes."""
    spec = json.loads(sys.stdin.buffer.read())
    client = Client(socket.socket(fileno=int(streams)), socket.socket(fileno=int(control)))
    try:
        monitor = Monitor(Child(spec), client, Recorder(Path(directory), keeps_output=spec["kept"]))
    except OSError as error:
        client.send(multiplex.EXIT, f"{error.filename or directory}: {error.strerror}".encode())
        client.flush()
        sys.exit(f"cannot monitor the run: {error}")
    monitor.run()
    os._exit(0)  # without waiting for threads: they only read from the client, which waits for this exit


if __name__ == "__main__":
    main(*sys.argv[1:])
