"""Redis away, in each of the ways it can be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from service.counter import BUSY_SECONDS, open_counter
from tests.real_redis import ScriptedRedis, black_hole
from twelfth_redis.errors import UnavailableError
from twelfth_redis.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.real_redis import RealRedis
    from tests.service.conftest import Process

PROMISE_SECONDS = 1.5


def test_a_hit_whose_reply_is_lost_is_not_sent_again() -> None:
    """Redis counted and hung up: the hit fails, and Redis has seen one INCR."""
    with ScriptedRedis(hang_up=True) as scripted:
        with pytest.raises(UnavailableError):
            open_counter(Settings(host="127.0.0.1", port=scripted.port)).hit()

        assert 1 == scripted.incremented


def test_a_hit_whose_reply_is_late_is_not_sent_again() -> None:
    """Redis counted, and its reply comes too late: the same."""
    with ScriptedRedis(delay=0.8) as scripted:
        with pytest.raises(UnavailableError):
            open_counter(Settings(host="127.0.0.1", port=scripted.port)).hit()

        assert 1 == scripted.incremented


@pytest.mark.measures
def test_a_burst_at_a_black_hole_is_answered_in_time(serve: Callable[..., Process]) -> None:
    """Five requests for every thread: each has its 503 within the promise, the ones that queued too."""
    with black_hole() as port:
        process = serve({"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(port)})
        began = time.monotonic()
        replies = [each.getresponse() for each in process.begin(40, "/")]
        took = time.monotonic() - began

    assert {(503, "1")} == {(reply.status, reply.headers["Retry-After"]) for reply in replies}
    assert took < PROMISE_SECONDS


@pytest.mark.measures
def test_a_burst_at_a_silent_redis_is_answered_in_time(serve: Callable[..., Process], real_redis: RealRedis) -> None:
    """A server that accepts and says nothing, in the middle of the traffic, is as much away."""
    process = serve(real_redis.environment)
    process.ask()
    with real_redis.paused():
        began = time.monotonic()
        statuses = {each.getresponse().status for each in process.begin(40, "/")}
        took = time.monotonic() - began

    assert {503} == statuses
    assert took < PROMISE_SECONDS


@pytest.mark.parametrize(("pause", "drips"), [(0.45, ""), (0.3, "drips")])
@pytest.mark.measures
def test_a_redis_that_is_slow_at_every_step_is_given_up_in_time(
    serve: Callable[..., Process], pause: float, drips: str
) -> None:
    """Each reply, or each byte of one, comes just in time; together they would not. What is not sent is not counted."""
    with ScriptedRedis(pause=pause, drips=bool(drips)) as scripted:
        process = serve({"REDIS_URL": f"redis://user:secret@127.0.0.1:{scripted.port}/1"})
        began = time.monotonic()
        status = process.ask().status
        took = time.monotonic() - began

    assert (503, 0) == (status, scripted.incremented)
    assert took < PROMISE_SECONDS


def test_a_restarted_redis_is_found_again(serve: Callable[..., Process], real_redis: RealRedis) -> None:
    """The service answers 503 while Redis is dead and counts on at the first request after, without a restart."""
    process = serve(real_redis.environment)
    before = process.ask().status
    real_redis.kill()
    during = process.ask().status
    real_redis.start()
    after = process.ask()

    assert (200, 503) == (before, during)
    assert "Hello World! 2 times." == after.body


def test_a_connection_that_died_at_rest_costs_no_hit(real_redis: RealRedis) -> None:
    """Redis restarts between two hits: the second one is counted at once."""
    counter = open_counter(Settings(host="127.0.0.1", port=real_redis.port))
    counter.hit()
    real_redis.kill()
    real_redis.start()
    time.sleep(BUSY_SECONDS)

    assert 2 == counter.hit()


def test_a_redis_that_takes_no_writes_is_away(real_redis: RealRedis) -> None:
    """A replica that is read-only cannot count: not an error of the value's."""
    real_redis.client.replicaof("127.0.0.1", "1")

    with pytest.raises(UnavailableError, match="read only replica"):
        open_counter(Settings(host="127.0.0.1", port=real_redis.port)).hit()


def test_a_wrong_password_is_told_without_it(real_redis: RealRedis) -> None:
    """Signing in fails as being away does; the reason is Redis's own, and names no secret."""
    settings = Settings(host="127.0.0.1", port=real_redis.port, username="u", password="secret")  # noqa: S106

    with pytest.raises(UnavailableError) as refused:
        open_counter(settings).hit()

    assert "WRONGPASS invalid username-password pair or user is disabled." == str(refused.value)


def test_a_connection_that_redis_refuses_is_away(real_redis: RealRedis) -> None:
    """For each request, in the words of Redis: here there is no such database."""
    counter = open_counter(Settings(host="127.0.0.1", port=real_redis.port, database=99))

    for ask in (counter.hit, counter.value, counter.schema):
        with pytest.raises(UnavailableError, match="Redis refuses: ERR DB index is out of range"):
            ask()
