"""Clients that send requests without a pause while the stack changes, and the answers that they get.

With `TWELFTH_SCENARIOS=full` there are as many hits as docs/performance.md reports of, and the limits are those of a
machine that does nothing else.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from bench import hits
from tests.real_redis import eventually
from tests.sample import FULL

if TYPE_CHECKING:
    from tests.conftest import Project

VISITORS = 16
PAUSE = 0.0 if FULL else 0.04
"""Seconds that each client waits after an answer, so that a deploy on two processors does not take forever."""

HITS = 20_000 if FULL else 3_000
SLOWEST_MS = 250 if FULL else 2_000
"""The slowest answer that is accepted: on a machine that does nothing else, and on one that is busy."""

WORD = "secret"
"""The password of a Redis that requires one."""

TIMEOUT = 10.0
"""Seconds that one answer may take."""


@dataclass(frozen=True)
class Hit:
    """The answer to one request: a number, or why there is none; `began` is on the monotonic clock."""

    began: float
    seconds: float
    number: int | None = None
    replica: str = ""
    failure: str = ""

    @property
    def ended(self) -> float:
        """Return the time of the answer."""
        return self.began + self.seconds


@dataclass(frozen=True)
class Figures:
    """The result of many hits; `moved` is the difference of the counter."""

    hits: tuple[Hit, ...]
    seconds: float
    moved: int

    @property
    def numbers(self) -> list[int]:
        """Return the numbers that were answered."""
        return [hit.number for hit in self.hits if hit.number is not None]

    @property
    def failures(self) -> dict[str, int]:
        """Return the number of failed requests by reason."""
        return dict(Counter(hit.failure for hit in self.hits if hit.failure))

    @property
    def repeated(self) -> int:
        """Return the number of numbers that were returned more than once."""
        return len(self.numbers) - len(set(self.numbers))

    @property
    def slowest_ms(self) -> float:
        """Return the longest time of an answer, in milliseconds."""
        return max(hit.seconds for hit in self.hits) * 1000

    @property
    def replicas(self) -> set[str]:
        """Return the replicas that answered."""
        return {hit.replica for hit in self.hits if hit.replica}

    def __str__(self) -> str:
        """Return the figures as one line."""
        return (
            f"{len(self.hits)} hits, {len(self.hits) / self.seconds:.0f}/s, {self.failures or 'none'} failed, "
            f"slowest {self.slowest_ms:.0f} ms, {len(set(self.numbers))} distinct, counter moved {self.moved}, "
            f"{len(self.replicas)} replicas"
        )


class Load:
    """Clients that send requests between `__enter__` and `__exit__`; each keeps its connection, like a browser."""

    def __init__(self, url: str, visitors: int = VISITORS, pause: float = PAUSE) -> None:
        """Take the door's address, how many come at a time, and for how many seconds each rests after an answer."""
        self.url, self.pause = url, pause
        self.hits: list[Hit] = []
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(visitors)]

    def __enter__(self) -> Self:
        """Start the clients."""
        self._before, self._began = counted(self.url), time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the clients after their present request."""
        self._enough.set()
        for thread in self._threads:
            thread.join()
        self._seconds = time.monotonic() - self._began

    def reach(self, count: int, seconds: float = 120) -> None:
        """Wait until that many hits have been answered since the start."""
        eventually(lambda: len(self.hits) >= count, seconds)

    def settle(self, seconds: float, many: int = 50) -> None:
        """Wait until that many hits in a row, sent from now on, got their numbers."""
        since = time.monotonic()
        eventually(lambda: _are_good(self.hits[-many:], since), seconds)

    def figures(self) -> Figures:
        """Return the result, after the end."""
        return Figures(tuple(self.hits), self._seconds, counted(self.url) - 1 - self._before)

    def _visit(self) -> None:
        with contextlib.closing(_connection(self.url)) as connection:
            while not self._enough.wait(self.pause):
                self.hits.append(_hit(connection))


def change(project: Project, text: str, name: str = "service/app.py") -> None:
    """Append some text to a file of the project, which makes another release."""
    path = project.directory / name
    path.write_text(f"{path.read_text('utf-8')}{text}\n", "utf-8")


def crash_soon(project: Project, seconds: float = 2.0, monitor: str = "4s") -> None:
    """Make a release that exits some seconds after its start, while it is watched."""
    change(project, f"\nimport os, threading\nthreading.Timer({seconds}, os._exit, (1,)).start()")
    file = project.directory / "docker-compose.yml"
    file.write_text(file.read_text("utf-8").replace("monitor: 200ms", f"monitor: {monitor}"), "utf-8")


def guard(project: Project) -> None:
    """Declare a password for Redis, on every engine."""
    file = project.directory / "docker-compose.yml"
    text = file.read_text("utf-8")
    for last in ("noeviction]", '--save, ""]'):
        assert last in text
        text = text.replace(last, last.replace("]", f", --requirepass, {WORD}]"))
    file.write_text(text, "utf-8")


def counted(url: str) -> int:
    """Hit once, and return the number."""
    return int(hits.sentence(url).removeprefix("Hello World! ").partition(" ")[0])


def _are_good(found: list[Hit], since: float) -> bool:
    return all(hit.began >= since and not hit.failure for hit in found)


def _hit(connection: http.client.HTTPConnection) -> Hit:
    began = time.monotonic()
    try:
        connection.request("GET", "/", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Hit(began, time.monotonic() - began, failure=str(error) or type(error).__name__)
    seconds, replica = time.monotonic() - began, answer.headers.get("X-Served-By", "")
    if answer.status != http.HTTPStatus.OK:
        return Hit(began, seconds, replica=replica, failure=f"HTTP {answer.status}")
    return Hit(began, seconds, int(json.loads(body)["hits"]), replica)


def _connection(url: str) -> http.client.HTTPConnection:
    where = urlsplit(url)
    return http.client.HTTPConnection(where.hostname or "", where.port, timeout=TIMEOUT)
