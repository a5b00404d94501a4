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

    @property
    def failed(self) -> int:
        """Return the number of requests that got no answer of 200."""
        return self.failures.total()


@contextlib.contextmanager
def load(port: int, path: str = "/") -> Iterator[Load]:
    """Send requests while the context is open; every second client keeps its connection."""
    result, stop, lock = Load(), threading.Event(), threading.Lock()

    def send(*, keeps: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        while not stop.is_set():
            reason = _request(connection, path)
            with lock:
                result.answered += not reason
                result.failures.update([reason] if reason else [])
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
