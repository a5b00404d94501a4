"""Send requests to the service, one or many, and report the answers."""

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
"""The failure of an answer of 503, which means that nothing was counted."""

TIMEOUT = 10.0
"""Seconds that one request may take; the service answers within 1.5 s if Redis is unavailable."""


@dataclass(frozen=True)
class Answer:
    """The answer to one request: the number, or why there is none; `seconds` is the time to the end of the answer."""

    seconds: float
    number: int | None = None
    failure: str = ""
    replica: str = ""


@dataclass(frozen=True)
class Report:
    """The result of many requests; latencies are in milliseconds, and `rate` is in answered requests per second.

    `moved` is the difference between the first and the last number. `repeated` are the numbers that were returned more
    than once, with the replicas that did. `unavailable` counts answers of 503; `failures` are all others.
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
        """Return what the numbers prove, as a sentence."""
        if self.repeated:
            repeated = [f"{number} by {' and '.join(replicas)}" for number, replicas in self.repeated.items()]
            more = " …" if len(repeated) > EVIDENCE else ""
            return f"numbers returned more than once: {', '.join(repeated[:EVIDENCE])}{more}"
        between = self.moved - self.answered
        if not self.answered:
            return "nothing was answered"
        if not between:
            return "all numbers are distinct, and the counter moved by the same amount"
        return f"all numbers are distinct; the counter moved by {between} more: other clients, or lost answers"

    def __str__(self) -> str:
        """Return the report as a few lines."""
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
"""The most repeated numbers that are listed."""


def with_releases(report: Report, releases: Mapping[str, str]) -> Report:
    """Add the number of answers by release; `releases` maps the names of replicas to their releases."""
    counts: Counter[str] = Counter()
    for replica, count in report.replicas.items():
        counts[releases.get(replica, "unknown")] += count
    return replace(report, releases=dict(sorted(counts.items())))


def sentence(url: str) -> str:
    """Send one request and return the text; raises `ServiceError` for no answer, or one other than 200."""
    with contextlib.closing(_connect(url)) as connection:
        try:
            answer, text = _ask(connection, "text/plain")
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"{url} does not answer ({_reason(error)}). Try: invoke status") from error
    if answer.status != http.HTTPStatus.OK:
        raise ServiceError(f"{url} answers {answer.status}: {text.rstrip('.')}. Try: invoke logs")
    return text


def send_hits(url: str, count: int, concurrency: int, advance: Callable[[int], object] = lambda _: None) -> Report:
    """Send `count` requests, `concurrency` at a time, over kept connections; `advance` is called after each."""
    started = time.perf_counter()
    shares = [len(range(start, count, concurrency)) for start in range(min(concurrency, count))]
    enough = threading.Event()
    with ThreadPoolExecutor(len(shares)) as pool:
        results = pool.map(lambda share: tuple(_hits(url, share, advance, enough)), shares)
        try:
            answers = tuple(itertools.chain.from_iterable(results))
        finally:
            enough.set()
    return report(answers, time.perf_counter() - started)


def report(answers: tuple[Answer, ...], seconds: float) -> Report:
    """Summarize the answers."""
    replicas: dict[int, list[str]] = {}
    for answer in answers:
        if answer.number is not None:
            replicas.setdefault(answer.number, []).append(answer.replica or "unknown")
    times = sorted(answer.seconds * 1000 for answer in answers if answer.number is not None)
    failures = Counter(answer.failure for answer in answers if answer.failure)
    return Report(
        requests=len(answers),
        answered=len(times),
        seconds=seconds,
        rate=len(times) / seconds if seconds else 0.0,
        first=min(replicas, default=None),
        last=max(replicas, default=None),
        moved=max(replicas) - min(replicas) + 1 if replicas else 0,
        repeated={number: tuple(names) for number, names in sorted(replicas.items()) if len(names) > 1},
        unavailable=failures.pop(UNAVAILABLE, 0),
        failures=dict(failures),
        replicas=dict(sorted(Counter(answer.replica for answer in answers if answer.replica).items())),
        latency_ms={f"p{share}": _percentile(times, share) for share in (50, 95, 99)} | {"max": max(times, default=0)},
    )


def _percentile(ordered: list[float], share: int) -> float:
    """Return the nearest-rank percentile of ordered values, 0 if there are none."""
    return ordered[max(0, -(-share * len(ordered) // 100) - 1)] if ordered else 0.0


def _hits(url: str, count: int, advance: Callable[[int], object], enough: threading.Event) -> Iterator[Answer]:
    with contextlib.closing(_connect(url)) as connection:
        for _ in range(count):
            if enough.is_set():
                break
            yield _hit(connection)
            advance(1)


def _hit(connection: http.client.HTTPConnection) -> Answer:
    started = time.perf_counter()
    try:
        answer, text = _ask(connection, "application/json")
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Answer(time.perf_counter() - started, failure=_reason(error))
    seconds, replica = time.perf_counter() - started, answer.headers.get("X-Served-By", "")
    if answer.status != http.HTTPStatus.OK:
        return Answer(seconds, failure=f"HTTP {answer.status}", replica=replica)
    try:
        return Answer(seconds, number=int(json.loads(text)["hits"]), replica=replica)
    except (ValueError, KeyError, TypeError):
        return Answer(seconds, failure="no number in the answer", replica=replica)


def _connect(url: str) -> http.client.HTTPConnection:
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)


def _ask(connection: http.client.HTTPConnection, kind: str) -> tuple[http.client.HTTPResponse, str]:
    connection.request("GET", "/", headers={"Accept": kind})
    answer = connection.getresponse()
    return answer, answer.read().decode(errors="replace").strip()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
