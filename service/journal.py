"""The log: one JSON object a line on one stream. JSON escapes what a client could smuggle into a line."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable


class Journal:
    """Writes lines that are whole, flushed and in the order of their making, from any thread."""

    def __init__(self, out: TextIO, replica: str, clock: Callable[[], float] = time.time) -> None:
        self._out = out
        self._replica = replica
        self._clock = clock
        self._lock = threading.Lock()

    def note(self, event: str, **fields: object) -> None:
        """Write one line; `event` says what happened. A log that nobody reads any more stops no request."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            line = {"time": self._now(), "event": event, "replica": self._replica, **fields}
            self._out.write(json.dumps(line, default=str) + "\n")
            self._out.flush()

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._clock(), tz=UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JournalHandler(logging.Handler):
    """Brings what a library logs into the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line, its traceback included."""
        fields: dict[str, object] = {"logger": record.name, "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._journal.note("log", **fields)


def adopt_logging(journal: Journal) -> None:
    """Send all logging to the journal, but for waitress's warning about each request that has to queue."""
    logging.basicConfig(handlers=[JournalHandler(journal)], level=logging.WARNING, force=True)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
