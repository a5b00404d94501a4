"""The log: one JSON object a line on one descriptor. JSON escapes what a client could smuggle into a line.

Whoever reads the log may stall, and a pipe is full after 64 KiB (pipe(7)). So one thread writes for all, many lines at
once, and nobody waits for it: where it does not keep up, lines are dropped, and the next one says how many.
"""

import json
import logging
import os
import select
import threading
import time
from datetime import UTC, datetime

MOST_LINES = 4096
"""How many lines wait to be written at most; as many more may be on their way."""
LINGER_SECONDS = 0.01
"""How long the first of many lines waits for others."""
CLOSE_SECONDS = 1.0
"""How long the end waits for a reader that stalls."""

_NEWLINE = ord("\n")
_encode = json.JSONEncoder(default=str).encode


class JsonLog:
    """Takes lines from any thread and writes them whole and in the order of their making; closed, it takes no more."""

    def __init__(self, descriptor: int, replica: str) -> None:
        self.replica = replica
        self._descriptor = descriptor
        self._lines: list[tuple[float, str, dict[str, object]]] = []
        self._dropped = 0
        self._torn = b""
        self._closed = False
        self._changed = threading.Condition()
        # A daemon, and no buffer of Python's: a write that never ends must not keep the process from ending.
        self._writer = threading.Thread(target=self._write_all, name="json-log", daemon=True)
        self._writer.start()

    def note(self, event: str, **fields: object) -> None:
        """Have one line written; `event` says what happened. A log that nobody reads any more stops no request."""
        with self._changed:
            if self._closed or len(self._lines) >= MOST_LINES:
                self._dropped += 1
                return
            self._lines.append((time.time(), event, fields))
            if len(self._lines) == 1:
                self._changed.notify()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Return when all is written, or the time is over."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._writer.join(seconds)

    def _write_all(self) -> None:
        while lines := self._next():
            self._write(self._torn + b"".join(lines))

    def _write(self, data: bytes) -> None:
        sent, rest = 0, memoryview(data)
        try:
            while sent < len(data):
                sent += _written(self._descriptor, rest[sent:])
            self._torn = b""
        except OSError:  # nobody reads it, or the disk is full: the line that is torn is ended when that is over
            torn = data[sent - 1] != _NEWLINE if sent else self._torn
            end = data.index(b"\n", sent) + 1 if torn else sent
            self._torn = data[sent:end]
            with self._changed:
                self._dropped += data.count(b"\n", end)

    def _next(self) -> list[bytes]:
        """Return the lines that wait, as soon as there are any; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closed)
            if not self._closed:
                self._changed.wait(LINGER_SECONDS)
            taken, self._lines = self._lines, []
            dropped, self._dropped = self._dropped, 0
        if dropped and taken:  # behind all that waited: that is when lines are dropped
            taken.append((time.time(), "dropped", {"lines": dropped}))
        return [self._line(*line) for line in taken]

    def _line(self, moment: float, event: str, fields: dict[str, object]) -> bytes:
        return f"{_encode({'time': _iso(moment), 'event': event, 'replica': self.replica, **fields})}\n".encode()


def _written(descriptor: int, data: memoryview) -> int:
    """Write some of the data, and return how many bytes of it."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:  # whoever shares the descriptor may have made it so
        select.select([], [descriptor], [])
        return 0


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonLogHandler(logging.Handler):
    """Brings what a library logs into the log."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line, its traceback included."""
        fields: dict[str, object] = {"logger": record.name, "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._log.note("log", **fields)


def adopt_logging(log: JsonLog) -> None:
    """Send all logging to the log, but for waitress's warning about each request that has to queue."""
    logging.basicConfig(handlers=[JsonLogHandler(log)], level=logging.WARNING, force=True)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
