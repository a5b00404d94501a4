"""The counter on a real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from admin.reset import reset
from service.counter import HIGHEST, LOWEST, Counter, NoIntegerError, open_counter
from twelfth_redis.lock import Owner
from twelfth_redis.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.real_redis import RealRedis
    from tests.service.conftest import Process


@pytest.fixture
def counter(real_redis: RealRedis) -> Counter:
    """Return a counter in a separate store."""
    return open_counter(Settings(host="127.0.0.1", port=real_redis.port))


def set_to(counter: Counter, number: int = 0) -> int | str | None:
    """Reset the counter, and return what it was."""
    return reset(counter.client, Owner("test"), number)


def test_no_number_comes_twice(serve: Callable[..., Process], real_redis: RealRedis) -> None:
    """Eight clients at two replicas at once: each number from 1 on is handed out exactly once."""
    replicas = [serve(real_redis.environment), serve(real_redis.environment)]
    with ThreadPoolExecutor(8) as clients:
        bodies = list(clients.map(lambda n: replicas[n % 2].ask().body, range(400)))

    assert list(range(1, 401)) == sorted(int(body.split()[2]) for body in bodies)


def test_a_reset_under_load_loses_nothing(counter: Counter) -> None:
    """What a reset says the counter was, plus what came after, is all that was counted."""
    with ThreadPoolExecutor(8) as clients:
        hits = [clients.submit(counter.hit) for _ in range(400)]
        before = set_to(counter)
        assert 400 == len([hit.result() for hit in hits])

    assert 400 == (before or 0) + counter.value()  # type: ignore[operator]


def test_the_value_counts_nothing(counter: Counter) -> None:
    """Looking is not hitting; a counter that never was is at 0."""
    values = [counter.value(), counter.hit(), counter.value(), counter.value()]

    assert [0, 1, 1, 1] == values


@pytest.mark.parametrize("held", [b"abc", b"", b" 1", b"+1", b"01", b"-0", b"1.5", b"\xff", b"9223372036854775808"])
def test_what_redis_would_not_count_on_has_no_value(counter: Counter, real_redis: RealRedis, held: bytes) -> None:
    """The counter reads integers as strictly as INCR does."""
    real_redis.client.set("hits", held)

    with pytest.raises(NoIntegerError):
        counter.hit()
    with pytest.raises(NoIntegerError):
        counter.value()


@pytest.mark.parametrize("number", [0, -1, LOWEST, HIGHEST])
def test_a_reset_tells_what_was(counter: Counter, number: int) -> None:
    """The old value comes back as a number, over the whole range."""
    set_to(counter, number)

    assert number == set_to(counter)


def test_a_reset_tells_that_nothing_was(counter: Counter) -> None:
    """A counter that never was is not the same as one at 0."""

    assert set_to(counter) is None


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        (b"a\nb", r"'a\nb'"),
        (b"\xff\x1b[31m", r"'\\xff\x1b[31m'"),
        (b"x" * 100, f"'{'x' * 59}…' (100 bytes)"),
    ],
)
def test_a_foreign_value_is_shown_safely(counter: Counter, real_redis: RealRedis, held: bytes, shown: str) -> None:
    """It is replaced, and what it was can be printed on a terminal."""
    real_redis.client.set("hits", held)

    assert (shown, 0) == (set_to(counter), counter.value())


def test_a_foreign_type_is_replaced(counter: Counter, real_redis: RealRedis) -> None:
    """A list goes the same way, in one step."""
    real_redis.client.lpush("hits", "x")

    assert ("a list", 7) == (set_to(counter, 7), counter.value())
