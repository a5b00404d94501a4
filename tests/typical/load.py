"""Clients of another project, on new connections and on kept ones, and how many of their requests fail."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 4
PAUSE = 0.02
"""Seconds that each client waits after an answer."""

TIMEOUT = 5.0
"""Seconds that one answer may take."""


@dataclass
class Load:
    """The answers that clients have got, and the failures by reason."""

    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    silence: float = 0.0
    """The longest time without an answer of 200 to any client, in seconds."""

    @property
    def failed(self) -> int:
        """Return the number of requests that got no answer of 200."""
        return self.failures.total()

    def __str__(self) -> str:
        """Return the failed requests and the longest time without an answer."""
        return f"{self.failed} ({self.silence:.1f} s)" if self.failed else "0"


@contextlib.contextmanager
def load(port: int, path: str = "/") -> Iterator[Load]:
    """Send requests while the context is open; every second client keeps its connection."""
    result, stop, lock = Load(), threading.Event(), threading.Lock()
    last_answer = time.monotonic()

    def note(reason: str) -> None:
        nonlocal last_answer
        with lock:
            result.answered += not reason
            result.failures.update([reason] if reason else [])
            result.silence = max(result.silence, (now := time.monotonic()) - last_answer)
            last_answer = last_answer if reason else now

    def send(*, keeps: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        while not stop.is_set():
            reason = _request(connection, path)
            note(reason)
            if reason or not keeps:
                connection.close()
            time.sleep(PAUSE)
        connection.close()

    threads = [threading.Thread(target=send, kwargs={"keeps": bool(i % 2)}) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield result
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _request(connection: http.client.HTTPConnection, path: str) -> str:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    return "" if response.status == http.client.OK else str(response.status)
