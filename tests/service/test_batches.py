"""Hits that are counted together: each has its own number, or its own reason."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest

from service.batches import Batches
from service.counter import HIGHEST, NoIntegerError, open_counter
from tests.real_redis import ScriptedRedis, eventually
from twelfth_redis.errors import UnavailableError
from twelfth_redis.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.real_redis import RealRedis
    from tests.service.conftest import Process


def kinds(outcomes: Sequence[object]) -> list[object]:
    """Return numbers as they are, and the type of everything else."""
    return [outcome if isinstance(outcome, int) else type(outcome) for outcome in outcomes]


def test_each_of_many_has_its_number(real_redis: RealRedis) -> None:
    """In the order of their coming, and no other way of counting comes between."""
    counter = open_counter(Settings(host="127.0.0.1", port=real_redis.port))

    assert ([1, 2, 3], 4, [5]) == (counter.hits(3), counter.hit(), counter.hits(1))


def test_the_last_number_is_handed_out_once(real_redis: RealRedis) -> None:
    """Two hits at the end of 64 bits: one has the last number, the other none."""
    real_redis.client.set("hits", HIGHEST - 1)
    counter = open_counter(Settings(host="127.0.0.1", port=real_redis.port))

    assert [HIGHEST, NoIntegerError] == kinds(counter.hits(2))


def test_what_was_answered_before_a_connection_broke_is_counted() -> None:
    """Redis answers two of four and hangs up: two have their numbers, and none of the others is sent again."""
    with ScriptedRedis(hang_up=True) as scripted:
        scripted.answers = 2
        outcomes = open_counter(Settings(host="127.0.0.1", port=scripted.port)).hits(4)

        assert [1, 2, UnavailableError, UnavailableError] == kinds(outcomes)
        assert 3 == scripted.incremented


def test_a_late_reply_goes_to_nobody() -> None:
    """What Redis says of hits that were given up is not taken for the number of the next."""
    with ScriptedRedis(delay=0.8) as scripted:
        counter = open_counter(Settings(host="127.0.0.1", port=scripted.port))
        lost = counter.hits(2)
        scripted.delay = 0

        assert [UnavailableError] * 2 == kinds(lost)
        assert counter.hit() == scripted.incremented


def test_a_hit_that_waited_too_long_is_not_sent() -> None:
    """Its time counts from its coming, the wait for its turn included."""
    with ScriptedRedis() as scripted:
        outcomes = open_counter(Settings(host="127.0.0.1", port=scripted.port)).hits(1, waited=2)

        assert ([UnavailableError], 0) == (kinds(outcomes), scripted.incremented)


def test_what_comes_during_a_batch_is_the_next() -> None:
    """However they came, they are counted at once when it is their turn, and whatever happens each has an outcome."""
    counts: list[int] = []

    def count(many: int, _waited: float) -> list[int]:
        counts.append(many)
        if many == 1:
            batches.add("b")
            batches.send()
            batches.add("c")
            batches.send()
            return [1]
        raise ZeroDivisionError

    taken: list[tuple[str, object]] = []
    batches: Batches[str] = Batches(count, lambda: taken.extend(batches.take()))
    batches.add("a")
    batches.send()
    eventually(lambda: len(taken) == 3)

    assert [1, 2] == counts
    assert [("a", 1), ("b", ZeroDivisionError), ("c", ZeroDivisionError)] == [
        (hit, *kinds([outcome])) for hit, outcome in taken
    ]


@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
@pytest.mark.measures
def test_a_redis_that_stalls_holds_only_hits(serve: Callable[..., Process], path: str) -> None:
    """Hits wait for Redis, more than there are threads; everything else is answered meanwhile."""
    with ScriptedRedis(delay=2) as scripted:
        process = serve({"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(scripted.port)}, "--threads", "1")
        waiting = process.begin(3, "/")
        eventually(lambda: scripted.incremented)
        process.ask(path)

        assert [] == select.select([hit.sock for hit in waiting], [], [], 0)[0]
        assert [503] * 3 == [hit.getresponse().status for hit in waiting]


def test_requests_on_one_connection_are_answered_in_their_order(
    serve: Callable[..., Process], real_redis: RealRedis
) -> None:
    """Sent in one piece, hits and others: each answer is that of its request."""
    asked = ["/", "/healthz", "/", "/", "/nowhere", "/"]
    text = "".join(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n" for path in asked)
    last = "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", serve(real_redis.environment).port), timeout=10) as connection:
        connection.sendall(f"{text}{last}".encode())
        answered = connection.makefile("rb").read().decode()

    bodies = [answer.partition("\r\n\r\n")[2] for answer in answered.split("HTTP/1.1 ")[1:]]
    hits = [f"Hello World! {number} times." for number in range(1, 5)]
    assert [hits[0], "ok", hits[1], hits[2], "Not found; GET / counts a hit.", hits[3], "ok"] == bodies
