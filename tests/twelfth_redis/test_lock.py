"""The lock for bulk changes of data, between processes on a real server."""

from __future__ import annotations

import json
import signal
import time

import pytest
import redis

from tests.faults import DurableRedis, Fault, Holder, Job, Outcome, Proxy, Started, ran
from tests.real_redis import eventually
from twelfth_redis.connection import connect
from twelfth_redis.errors import LockLostError
from twelfth_redis.keys import FENCE
from twelfth_redis.keys import LOCK as KEY
from twelfth_redis.lock import Owner, hold_lock, read_owner, retry_on_conflict

OWNER = Owner("reset", "c3d4", "r2", "bob")


@pytest.fixture
def server(durable: DurableRedis) -> DurableRedis:
    """Yield a Redis with a counter."""
    durable.client.flushall()
    durable.client.config_resetstat()
    durable.client.set("hits", 41)
    return durable


def calls(server: DurableRedis, command: str) -> int:
    """Return how often a command was called."""
    stats = server.client.info("commandstats").get(f"cmdstat_{command}", {})
    return int(stats.get("calls", 0))


def test_others_are_told_who_holds_it(server: DurableRedis) -> None:
    """Command, run, operator, since when; and nothing changes."""
    with Holder(server, 10):
        since = json.loads(server.client.get(KEY) or b"")["since"]
        outcome = ran(server, "reset")

    assert (1, "") == (outcome.code, outcome.out)
    assert outcome.err == (
        f"reset: the data is locked by migrate of run a1b2 by ann, since {since}. Try: repeat it with --wait SECONDS\n"
    )
    assert b"41" == server.client.get("hits")


def test_a_holder_that_is_not_of_ours_is_told_as_it_is(server: DurableRedis) -> None:
    """Whatever the key contains."""
    server.client.set(KEY, "not json")

    assert "the data is locked by b'not json'. " in ran(server, "migrate").err
    assert "b'[1]'" == read_owner(b"[1]")


def test_whoever_waits_goes_on_when_it_is_free(server: DurableRedis) -> None:
    """Not before."""
    with hold_lock(server.client, OWNER):
        waiting = Started(Job("reset", ("--wait", "20"), server.environment))
        eventually(lambda: calls(server, "set") > 4)
        between = server.client.get("hits")

    assert Outcome(0, "hits was 41, is 0 now\n") == waiting.outcome()
    assert b"41" == between


def test_whoever_waits_in_vain_is_told_the_holder(server: DurableRedis) -> None:
    """After the given time."""
    with hold_lock(server.client, OWNER):
        outcome = ran(server, "migrate", "--wait", "0.2")

    assert (1, True) == (outcome.code, "locked by reset of run c3d4 by bob, since" in outcome.err)
    assert calls(server, "set") > 2


def test_it_is_renewed_while_its_holder_lives(server: DurableRedis) -> None:
    """Beyond its lease, and it is the same lock."""
    with Holder(server, 1.5):
        first = server.client.get(KEY)
        eventually(lambda: calls(server, "pexpire") > 3, 20)

        assert (True, first) == (first is not None, server.client.get(KEY))


def test_it_is_free_within_its_lease_when_its_holder_is_killed(server: DurableRedis) -> None:
    """Then another process may take it."""
    with Holder(server, 0.3) as holder:
        holder.send_signal(signal.SIGKILL)

        assert 0 == ran(server, "reset", "--wait", "10").code


def test_it_is_free_as_soon_as_its_holder_is_done(server: DurableRedis) -> None:
    """Also after a failure."""
    with pytest.raises(ZeroDivisionError), hold_lock(server.client, OWNER):
        _ = 1 / 0

    assert 0 == server.client.exists(KEY)


@pytest.mark.parametrize(
    ("other", "amid"),
    [
        ("no one", False),
        ("another", False),
        ("another", True),
        ("another who is done", False),
        ("another who is done", True),
    ],
)
def test_who_was_paused_past_the_lease_writes_nothing(server: DurableRedis, other: str, *, amid: bool) -> None:
    """The error names the present holder, whose lock stays."""
    with Holder(server, 0.3) as holder:
        if amid:
            holder.go_on()
            assert "queued" == holder.said()
        holder.send_signal(signal.SIGSTOP)
        eventually(lambda: not server.client.exists(KEY))
        if other != "no one":
            server.client.mset({KEY: "another", FENCE: "another"})
        if other == "another who is done":
            server.client.delete(KEY, FENCE)
        holder.send_signal(signal.SIGCONT)
        holder.go_on()
        now = "b'another' has it" if other == "another" else "its lease expired"
        said = holder.said()

    assert said == f"the lock was lost: {now}; the last change was not written. Try: repeat the command"
    assert 0 == server.client.exists("written")
    assert (b"another" if other == "another" else None) == server.client.get(KEY)


def test_transaction_is_executed_if_no_other_process_took_the_lock(server: DurableRedis) -> None:
    """It does no harm; the next one is refused."""
    with Holder(server, 0.3) as holder:
        holder.go_on()
        assert "queued" == holder.said()
        holder.send_signal(signal.SIGSTOP)
        eventually(lambda: not server.client.exists(KEY))
        holder.send_signal(signal.SIGCONT)
        holder.go_on()

        assert "written" == holder.said()


def test_long_transaction_is_done_however_short_the_lease(server: DurableRedis) -> None:
    """Renewals do not change the watched keys."""
    with hold_lock(server.client, OWNER, lease=0.2) as lock, lock.transaction() as pipe:
        pipe.multi()
        pipe.set("written", 1)
        time.sleep(0.6)

    assert b"1" == server.client.get("written")


def test_who_was_paused_for_less_writes(server: DurableRedis) -> None:
    """The pause itself does no harm."""
    with Holder(server, 60) as holder:
        holder.send_signal(signal.SIGSTOP)
        holder.send_signal(signal.SIGCONT)
        holder.go_on()
        holder.go_on()

        assert ("queued", "written") == (holder.said(), holder.said())
    assert b"1" == server.client.get("written")


def test_many_transactions_neither_miss_a_renewal_nor_are_disturbed_by_one(server: DurableRedis) -> None:
    """One immediately after the other during some leases, while the watched lock is renewed."""
    until = time.monotonic() + 1.5
    with hold_lock(server.client, OWNER, lease=0.5) as lock:
        while time.monotonic() < until:
            with lock.transaction() as pipe:
                pipe.multi()
                pipe.incr("written")

    assert calls(server, "pexpire") > 2
    assert calls(server, "exec") == int(server.client.get("written") or 0)


def test_a_transaction_ends_where_a_key_that_it_watches_changes(server: DurableRedis) -> None:
    """With redis-py's error; this process still has the lock."""

    def disturbed() -> None:
        with lock.transaction("hits") as pipe:
            pipe.multi()
            pipe.set("hits", 0)
            server.client.incr("hits")

    with hold_lock(server.client, OWNER) as lock:
        with pytest.raises(redis.WatchError):
            disturbed()
        lock.check(server.client)

    assert b"42" == server.client.get("hits")


def test_what_may_have_been_written_is_not_written_again(server: DurableRedis) -> None:
    """If the reply to EXEC is lost, redis-py reports a changed key, which would cause a repetition."""

    def count() -> None:
        with lock.transaction() as pipe:
            pipe.multi()
            pipe.incr("written")

    with Proxy(server.port, lambda _: None) as proxy:
        proxy.arm(Fault(7, "after", "cut"))  # SET, EVAL, WATCH, MGET, MULTI, INCRBY, EXEC
        client = connect(proxy.environment)
        proxy.arm(proxy.fault)  # that was a PING
        with hold_lock(client, OWNER) as lock, pytest.raises(redis.ConnectionError):
            retry_on_conflict(count)

    assert (True, b"1") == (proxy.fired, server.client.get("written"))


def test_without_the_lock_nothing_is_written(server: DurableRedis) -> None:
    """The error names the new holder."""

    def write() -> None:
        with lock.transaction() as pipe:
            pipe.multi()
            pipe.set("hits", 0)

    with hold_lock(server.client, OWNER) as lock:
        server.client.set(KEY, json.dumps({"command": "restore", "run": "e5", "since": "now"}))
        with pytest.raises(LockLostError, match="restore of run e5, since now has it"):
            write()

    assert b"41" == server.client.get("hits")
