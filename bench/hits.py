"""Ask the door as a visitor would, once or many times, and say what came of it."""

import contextlib
import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from urllib.parse import urlsplit

from twelfth.errors import ServiceError

UNAVAILABLE = "HTTP 503"
"""The failure of an answer that says that nothing was counted."""

TIMEOUT = 10.0
"""Seconds that one request may take; the service itself answers within 1.5 when Redis is away."""


@dataclass(frozen=True)
class Answer:
    """What one request got: the number, or why there is none; `seconds` is the time to the end of the answer."""

    seconds: float
    number: int | None = None
    failure: str = ""
    replica: str = ""


@dataclass(frozen=True)
class Report:
    """What many requests got; latencies are milliseconds, of the answered ones; `rate` is these in a second.

    `moved` is how far the counter went from the first number to the last. `repeated` are the numbers that came more
    than once, with who gave them. An answer of 503 is honest, and `unavailable` counts it; `failures` are all others.
    """

    requests: int
    answered: int
    seconds: float
    rate: float
    first: int | None
    last: int | None
    moved: int
    repeated: dict[int, tuple[str, ...]]
    unavailable: int
    failures: dict[str, int]
    replicas: dict[str, int]
    latency_ms: dict[str, float]
    releases: dict[str, int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Return whether every request got a number that no other got."""
        return self.answered == self.requests and not self.repeated

    @property
    def verdict(self) -> str:
        """Return what the numbers prove."""
        if self.repeated:
            twice = [f"{number} by {' and '.join(by)}" for number, by in self.repeated.items()]
            return f"numbers came twice: {', '.join(twice[:EVIDENCE])}" + (" …" if len(twice) > EVIDENCE else "")
        between = self.moved - self.answered
        if not self.answered:
            return "nothing was answered"
        if not between:
            return "all numbers distinct, and the counter moved by just as many"
        return f"all numbers distinct; the counter moved by {between} more: other visitors, or answers that were lost"

    def __str__(self) -> str:
        """Return the report as a few lines for people."""
        numbers = f", numbers {self.first} to {self.last}" if self.answered else ""
        lines = [f"{self.answered} of {self.requests} answered in {self.seconds:.2f} s ({self.rate:.0f}/s){numbers}"]
        if self.answered:
            lines.append("latency, ms: " + "  ".join(f"{name} {value:.1f}" for name, value in self.latency_ms.items()))
            lines.append("by replica: " + "  ".join(f"{name} {count}" for name, count in self.replicas.items()))
        if self.releases:
            lines.append("by release: " + "  ".join(f"{name} {count}" for name, count in self.releases.items()))
        if self.unavailable:
            lines.append(f"unavailable (503): {self.unavailable}")
        lines += [f"failed: {count} x {why}" for why, count in self.failures.items()]
        return "\n".join([*lines, self.verdict])

    def json(self) -> str:
        """Return the report as one JSON object."""
        return json.dumps(asdict(self) | {"good": self.is_good, "verdict": self.verdict})


EVIDENCE = 5
"""How many of the numbers that came twice are named."""


def with_releases(report: Report, releases: Mapping[str, str]) -> Report:
    """Return the report with the answers counted by release, too; `releases` tells that of a replica, by its name."""
    counts: Counter[str] = Counter()
    for replica, count in report.replicas.items():
        counts[releases.get(replica, "unknown")] += count
    return replace(report, releases=dict(sorted(counts.items())))


def sentence(url: str) -> str:
    """Return what one visit answers; raises `ServiceError` where nobody does, or something else than 200."""
    with contextlib.closing(_connect(url)) as connection:
        try:
            answer, text = _ask(connection, "text/plain")
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"{url} does not answer ({_reason(error)}); see: invoke status") from error
    if answer.status != http.HTTPStatus.OK:
        raise ServiceError(f"{url} answers {answer.status}: {text.rstrip('.')}; see: invoke logs")
    return text


def send_hits(url: str, count: int, concurrency: int, tell: Callable[[int], object] = lambda _: None) -> Report:
    """Send `count` visits, `concurrency` at a time, over connections that are kept, and tell of each that is done."""
    began = time.perf_counter()
    shares = [len(range(start, count, concurrency)) for start in range(min(concurrency, count))]
    enough = threading.Event()
    with ThreadPoolExecutor(len(shares)) as pool:
        visits = pool.map(lambda share: tuple(_visits(url, share, tell, enough)), shares)
        try:
            answers = tuple(itertools.chain.from_iterable(visits))
        finally:
            enough.set()
    return report(answers, time.perf_counter() - began)


def report(answers: tuple[Answer, ...], seconds: float) -> Report:
    """Return what the answers prove."""
    givers: dict[int, list[str]] = {}
    for answer in answers:
        if answer.number is not None:
            givers.setdefault(answer.number, []).append(answer.replica or "somebody")
    times = sorted(answer.seconds * 1000 for answer in answers if answer.number is not None)
    failures = Counter(answer.failure for answer in answers if answer.failure)
    return Report(
        requests=len(answers),
        answered=len(times),
        seconds=seconds,
        rate=len(times) / seconds if seconds else 0.0,
        first=min(givers, default=None),
        last=max(givers, default=None),
        moved=max(givers) - min(givers) + 1 if givers else 0,
        repeated={number: tuple(by) for number, by in sorted(givers.items()) if len(by) > 1},
        unavailable=failures.pop(UNAVAILABLE, 0),
        failures=dict(failures),
        replicas=dict(sorted(Counter(answer.replica for answer in answers if answer.replica).items())),
        latency_ms={f"p{share}": _percentile(times, share) for share in (50, 95, 99)} | {"max": max(times, default=0)},
    )


def _percentile(ordered: list[float], share: int) -> float:
    """Return the nearest-rank percentile of ordered values, 0 where there are none."""
    return ordered[max(0, -(-share * len(ordered) // 100) - 1)] if ordered else 0.0


def _visits(url: str, count: int, tell: Callable[[int], object], enough: threading.Event) -> Iterator[Answer]:
    with contextlib.closing(_connect(url)) as connection:
        for _ in range(count):
            if enough.is_set():
                break
            yield _visit(connection)
            tell(1)


def _visit(connection: http.client.HTTPConnection) -> Answer:
    began = time.perf_counter()
    try:
        answer, text = _ask(connection, "application/json")
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Answer(time.perf_counter() - began, failure=_reason(error))
    seconds, replica = time.perf_counter() - began, answer.headers.get("X-Served-By", "")
    if answer.status != http.HTTPStatus.OK:
        return Answer(seconds, failure=f"HTTP {answer.status}", replica=replica)
    try:
        return Answer(seconds, number=int(json.loads(text)["hits"]), replica=replica)
    except (ValueError, KeyError, TypeError):
        return Answer(seconds, failure="no number in the answer", replica=replica)


def _connect(url: str) -> http.client.HTTPConnection:
    where = urlsplit(url)
    return http.client.HTTPConnection(where.hostname or "", where.port, timeout=TIMEOUT)


def _ask(connection: http.client.HTTPConnection, kind: str) -> tuple[http.client.HTTPResponse, str]:
    connection.request("GET", "/", headers={"Accept": kind})
    answer = connection.getresponse()
    return answer, answer.read().decode(errors="replace").strip()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
