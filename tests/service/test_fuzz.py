"""What no client should send, and what only a slow one does: no number is given twice, and other clients do not wait.

A grammar makes the requests, and most are mutated then; all follow from a seed and their place, so that a failure can
be repeated. TWELFTH_FUZZ_REQUESTS says how many there are.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.real_redis import RealRedis
    from tests.service.conftest import Process

REQUESTS = int(os.environ.get("TWELFTH_FUZZ_REQUESTS", "3000"))
SEED = 12
PIPELINED = 5
"""Requests per connection."""
CLIENTS = 8
SLOW = 200
UNREAD = 20
"""Hits of each fifth slow client, which reads the responses only when all are sent."""
GROWTH_KIB = 12 * 1024
"""How much memory may grow after the first fifth: allocators round up, leaks continue."""

METHODS = b"GET GET GET GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT PROXY ANY get G{T".split()
TARGETS = (
    b"/ / / / /?x=1 /healthz /readyz /nowhere // /%2f /%00 /. * ? # http://h/ https://h:1 http://[x http://[::1]/ "
    b"http://h:99999999/ //h/ ftp:x /\xff /\xe2\x84\x80 http://\xe2\x84\x80/ ../../etc/passwd"
).split()
VERSIONS = b"HTTP/1.1 HTTP/1.1 HTTP/1.1 HTTP/1.0 HTTP/0.9 HTTP/2.0 HTTP/9.9 HTTP/1 http/1.1 HTTP/11.1".split()
GOOD_HEADERS = (
    b"Accept: application/json",
    b"Accept: text/plain;q=0.1, */*",
    b"Accept: application/json;q=nan, ;;q=, text/*;q=1e999",
    b"X-Request-Id: " + b"i" * 300,
    b"Cookie: a=b; \x80\xff; c",
    b"User-Agent:",
    b"Range: bytes=0-1",
    b"If-None-Match: *",
    b"Upgrade: h2c",
    b"Content-Type: multipart/form-data; boundary=",
    b"X_Underscore: x",
    b"X-Forwarded-For: 1.2.3.4",
)
BAD_HEADERS = (
    b"Expect: 100-continue",  # waitress waits for a body even if there is none
    b"Content-Length: 99999999999",
    b"Content-Length: -1",
    b"Content-Length: 1, 1",
    b"Content-Length: " + b"9" * 5000,
    b"Content-Length: +5",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: \x0bchunked",
    b"Connection: close, keep-alive",
    b"Connection: Upgrade",
    b" folded: x",
    b"no colon",
    b": no name",
    b"Sp ace: x",
    b"Nul: \0",
    b"Bare: \r x",
    b"Huge: " + b"x" * 20000,
    b"\r\n".join([b"Many:"] * 3000),
)
CHUNKS = (b"0\r\n\r\n", b"1\r\nx\r\n0\r\n\r\n", b"3;a=b\r\nxyz\r\n0\r\n\r\n", b"00a\r\n0123456789\r\n0\r\n\r\n")
BAD_CHUNKS = (
    b"-1\r\n",
    b"0x1\r\nx\r\n",
    b"1\r\nxx\r\n",
    b"f" * 400 + b"\r\n",
    b"g\r\n",
    b"1;\n\r\nx",
    b"5\r\nx\r\n0\r\n\r\n",
)
STATUSES = {(b"GET", b"/nowhere"): 404, (b"POST", b"/"): 405, (b"GET", b"/readyz"): 503}
"""Of requests that are well-formed, where it is not 200; a Redis without migrations is not ready."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [A-Z][A-Za-z -]*\r\n(?=[A-Z])")
_NUMBER = re.compile(rb'Hello World! (\d+) times\.|\{"hits": (\d+)\}')


@dataclass(frozen=True)
class Sent:
    """What goes over one connection, in pieces, and how its requests are answered if all are well-formed."""

    place: int
    pieces: tuple[bytes, ...]
    expected: tuple[int, ...]
    is_abandoned: bool


@dataclass(frozen=True)
class Answered:
    """What came back over one connection until it ended: the statuses, and the numbers of its hits."""

    statuses: tuple[int, ...]
    numbers: tuple[int, ...]


def well_formed(chance: random.Random) -> tuple[bytes, int]:
    """Return a request as it should be, and the status that it gets."""
    method, target = chance.choice([(b"GET", b"/")] * 4 + [(b"HEAD", b"/"), (b"GET", b"/healthz"), *STATUSES])
    headers = [b"Host: h", *chance.sample(GOOD_HEADERS, chance.randrange(4))]
    body = chance.choice([b"", b"", b"", b"x" * chance.randrange(3000)])
    if body:
        headers.append(b"Content-Length: %d" % len(body))
    elif not chance.randrange(4):
        headers.append(b"Transfer-Encoding: chunked")
        body = chance.choice(CHUNKS)
    chance.shuffle(headers)
    return b"\r\n".join([b"%s %s HTTP/1.1" % (method, target), *headers, b"", body]), STATUSES.get(
        (method, target), 200
    )


def malformed(chance: random.Random) -> bytes:
    """Return a request that is wrong somewhere, or only unusual."""
    first = b" ".join(chance.choice(words) for words in (METHODS, TARGETS, VERSIONS))
    headers = [chance.choice(chance.choice([GOOD_HEADERS, BAD_HEADERS])) for _ in range(chance.randrange(4))]
    body = chance.choice([b"", b"", b"x" * chance.choice([1, 100, 70000]), *CHUNKS, *BAD_CHUNKS])
    if body in CHUNKS + BAD_CHUNKS:
        headers.append(b"Transfer-Encoding: chunked")
    request = b"\r\n".join([first, *headers, b"", body])
    for _ in range(chance.choice([0, 1, 1, 2, 8])):
        request = chance.choice(MUTATIONS)(request, chance)
    return request


def _within(request: bytes, chance: random.Random) -> tuple[int, int]:
    """Return where a piece of it begins and ends; most are short."""
    start = chance.randrange(len(request) + 1)
    return start, min(len(request), start + chance.choice([1, 1, 2, 10, 1000]))


def _replace(request: bytes, chance: random.Random) -> bytes:
    start, end = _within(request, chance)
    return request[:start] + chance.randbytes(end - start) + request[end:]


def _insert(request: bytes, chance: random.Random) -> bytes:
    start, _ = _within(request, chance)
    what = chance.choice(
        [b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b":", b"%", b"\xff", chance.randbytes(9), b"A" * 20000]
    )
    return request[:start] + what + request[start:]


def _remove(request: bytes, chance: random.Random) -> bytes:
    start, end = _within(request, chance)
    return request[:start] + request[end:]


def _repeat(request: bytes, chance: random.Random) -> bytes:
    start, end = _within(request, chance)
    return request[:end] + request[start:end] * chance.choice([1, 2, 10]) + request[end:]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _replace,
    _insert,
    _remove,
    _repeat,
    lambda request, chance: request[: chance.randrange(len(request) + 1)],
    lambda request, _: request.replace(b"\r\n", b"\n"),
)


def connection(place: int) -> Sent:
    """Return what is sent over one connection, which its place alone decides."""
    chance = random.Random(f"{SEED} {place}")  # noqa: S311 - it is to be repeatable
    good = [well_formed(chance) for _ in range(chance.randrange(PIPELINED + 1))]
    stream = b"".join([request for request, _ in good] + [malformed(chance) for _ in range(PIPELINED - len(good))])
    cuts = sorted(chance.randrange(len(stream) + 1) for _ in range(chance.choice([0, 0, 1, 5])))
    pieces = tuple(stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True))
    # waitress closes a connection for some malformed requests, with what it answered before
    expected = tuple(status for _, status in good) if len(good) == PIPELINED else ()
    return Sent(place, pieces, expected, is_abandoned=not chance.randrange(20))


def opened(port: int) -> socket.socket:
    """Return a connection, which sends at once what it is given."""
    made = socket.create_connection(("127.0.0.1", port), timeout=30)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def answers(received: bytes) -> Answered:
    """Return what is in a stream of answers."""
    statuses = (int(status) for status in _STATUS.findall(received))
    numbers = tuple(int(text or value) for text, value in _NUMBER.findall(received))
    return Answered(tuple(status for status in statuses if status != 100), numbers)


def read_all(client: socket.socket) -> bytes:
    """Return what comes until the other side has closed, or cut it off for what it did not read."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            received += piece
    return received


def send(port: int, sent: Sent) -> Answered:
    """Send it all, and return what came back until the other side closed."""
    with opened(port) as client:
        with contextlib.suppress(OSError):  # a server may close before it has read all
            for piece in sent.pieces:
                client.sendall(piece)
            if sent.is_abandoned:
                return Answered((), ())
            client.shutdown(socket.SHUT_WR)
        return answers(read_all(client))


@dataclass
class Evidence:
    """The results of many connections: numbers, errors, and the most hits whose reply was not read."""

    numbers: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unread: int = 0

    def add(self, answered: Answered, expected: tuple[int, ...], what: str) -> None:
        """Take what one connection was answered; the first answers are to be as expected."""
        self.numbers += answered.numbers
        is_broken = [status for status in answered.statuses if status >= 500 and status not in {501, 503}]
        if is_broken or expected != answered.statuses[: len(expected)]:
            self.wrong.append(f"{what}: {answered.statuses}, not {expected}")

    def fuzz(self, port: int, places: range) -> None:
        """Send what belongs to these places."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            for sent, answered in pool.map(lambda place: (made := connection(place), send(port, made)), places):
                if sent.is_abandoned:
                    self.unread += b"".join(sent.pieces).count(b"GET")
                else:
                    self.add(answered, sent.expected, f"connection {sent.place}")

    def visit(self, process: Process, enough: threading.Event) -> None:
        """Send ordinary requests until `enough` is set."""
        while not enough.wait(0.02):
            reply = process.ask()
            self.add(answers(reply.body.encode()), (), "")
            if reply.status != 200:
                self.wrong.append(f"a client: {reply.status} {reply.body}")


class SlowClients:
    """Many connections that send a byte now and then, or ask and do not read; in the end all are done."""

    def __init__(self, port: int) -> None:
        chance = random.Random(SEED)  # noqa: S311 - it is to be repeatable
        self._clients = [opened(port) for _ in range(SLOW)]
        self._rest = [self._slowly(chance, number) for number in range(SLOW)]
        for client in self._clients[::5]:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n" * UNREAD)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._drip, daemon=True)
        self._thread.start()

    @staticmethod
    def _slowly(chance: random.Random, number: int) -> bytes:
        last = b"GET / HTTP/1.1\r\nConnection: close\r\nX-Long: " + b"x" * chance.randrange(8000, 15000) + b"\r\n\r\n"
        body = b"x" * chance.randrange(8000, 60000)
        return (last, b"GET / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body) + last)[number % 2]

    def _drip(self) -> None:
        while not self._enough.wait(0.5):
            for number, client in enumerate(self._clients):
                if len(self._rest[number]) > 50:
                    client.sendall(self._rest[number][:1])
                    self._rest[number] = self._rest[number][1:]

    def finish(self) -> Iterator[tuple[Answered, tuple[int, ...]]]:
        """Send the rest of each, and give what each was answered, and with which statuses it should be."""
        self._enough.set()
        self._thread.join()
        for number, client in enumerate(self._clients):
            with client:
                client.sendall(self._rest[number])
                yield answers(read_all(client)), (200,) * (1 + number % 2 + (0 if number % 5 else UNREAD))


@contextlib.contextmanager
def meanwhile(work: Callable[[], None], enough: threading.Event) -> Iterator[None]:
    """Do some work in a thread, until it is enough."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    enough.set()
    thread.join()


@pytest.mark.measures
def test_nothing_breaks_and_nobody_waits(serve: Callable[..., Process], real_redis: RealRedis) -> None:
    """No number twice or lost, no 500, memory flat; other clients and slow ones are served, and it stops as usual."""
    process, lines = serve(real_redis.environment), list[dict[str, Any]]()
    log = threading.Thread(target=lambda: lines.extend(process.lines()))
    log.start()
    evidence, visits, enough = Evidence(), Evidence(), threading.Event()
    slow, connections = SlowClients(process.port), REQUESTS // PIPELINED
    with meanwhile(lambda: visits.visit(process, enough), enough):
        evidence.fuzz(process.port, range(connections // 5))
        before = process.resident
        evidence.fuzz(process.port, range(connections // 5, connections))
        grown = process.resident - before
    for number, (answered, expected) in enumerate(slow.finish()):
        evidence.add(answered, expected, f"slow client {number}")
    process.signal(signal.SIGTERM)
    log.join()
    moved = int(real_redis.client.get("hits") or 0)
    numbers = evidence.numbers + visits.numbers
    print(f"{len(numbers)} hits of {moved}, {len(visits.numbers)} by ordinary clients; {before} KiB and {grown} more")  # noqa: T201 - pytest -s

    assert [] == evidence.wrong
    assert [] == visits.wrong
    assert ("stop", 0) == (lines[-1]["event"], lines[-1]["unfinished"])
    assert visits.numbers
    assert len(numbers) == len(set(numbers))
    assert 0 <= moved - len(numbers) <= evidence.unread
    assert grown < GROWTH_KIB


def test_large_headers_are_refused(serve: Callable[..., Process]) -> None:
    """Of 16 KiB and more, as at the door: a thousand clients may hold as many, and all wait while they are read."""
    port = serve({"HOST_REDIS": "127.0.0.1", "PORT_REDIS": "1"}).port
    large = b"PUT / HTTP/1.1\r\nX: " + b"x" * 16384 + b"\r\n\r\n"

    assert (431,) == send(port, Sent(0, (large,), (), is_abandoned=False)).statuses
